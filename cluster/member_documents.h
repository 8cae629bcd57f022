// members/NAME and nodes/NAME in the store: everybody the cluster knows, and those of them that have containers.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cluster/net.h"

namespace fairlead::cluster {

struct MemberRecord {
  std::string name, role;
  uint32_t number = 0;
  HostPort address;
  std::string key;     // digest of the key it joined with: who asks again with that key gets the same answer
  int64_t joined = 0;  // seconds since 1970
};
std::string encode(const MemberRecord& member);
Result<MemberRecord> decode_member(const std::string& text);

// state/nodes/NAME.json of a member (state/node_record.h), with its role and, of a manager, the port of its front.
std::string node_document(const MemberRecord& member);

}  // namespace fairlead::cluster
