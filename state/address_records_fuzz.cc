// libFuzzer: whatever is in a document about addresses, it is read or refused; what was read is written so that it
// reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "state/address_records.h"
#include "state/block_record.h"

namespace {

template <class Record>
void try_one(fairlead::Result<Record> (*decode)(const fairlead::Json&, const std::string&),
             const fairlead::Json& json) {
  auto record = decode(json, "x");
  if (!record) return;
  const std::string text = encode(*record);
  auto again = fairlead::parse_json(text, "again");
  if (!again) std::abort();
  auto same = decode(*again, "again");
  if (!same || encode(*same) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto json = fairlead::parse_json({reinterpret_cast<const char*>(data), size}, "x");
  if (!json) return 0;
  try_one(fairlead::decode_reservation, *json);
  try_one(fairlead::decode_sticky, *json);
  try_one(fairlead::decode_node_blocks, *json);
  return 0;
}
