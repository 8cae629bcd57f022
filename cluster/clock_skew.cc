#include "cluster/clock_skew.h"

#include <cstdlib>
#include <utility>

namespace fairlead::cluster {
namespace {

// Above what a request takes on a busy machine (8 s at most, half of which counts), below what would matter.
constexpr int64_t kNoticed = 20;

}  // namespace

int64_t noted_skew(int64_t said, int64_t measured) {
  if (std::llabs(measured) < (said ? kNoticed / 2 : kNoticed)) return 0;
  return said && std::llabs(measured - said) < kNoticed ? said : measured;
}

std::string skew_text(int64_t seconds) {
  int64_t amount = std::llabs(seconds);
  const char* unit = "seconds";
  for (auto [size, name] : {std::pair{int64_t{86400}, "days"}, {3600, "hours"}, {60, "minutes"}}) {
    if (amount < 2 * size) continue;
    amount = (amount + size / 2) / size;
    unit = name;
    break;
  }
  return std::to_string(amount) + " " + unit + (seconds > 0 ? " ahead of" : " behind");
}

}  // namespace fairlead::cluster
