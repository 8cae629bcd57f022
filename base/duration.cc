#include "base/duration.h"

#include <charconv>

namespace fairlead {

std::optional<uint32_t> parse_duration(std::string_view text) {
  uint64_t value = 0;
  const char* last = text.data() + text.size();
  auto [end, ec] = std::from_chars(text.data(), last, value);
  if (ec != std::errc() || value > UINT32_MAX) return std::nullopt;
  std::string_view unit(end, static_cast<size_t>(last - end));
  uint64_t factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60000 : unit == "h" ? 3600000 : 0;
  if (factor == 0 && !(unit.empty() && value == 0)) return std::nullopt;
  value *= factor;
  if (value > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(value);
}

std::string duration_text(uint32_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + "s" : std::to_string(ms) + "ms";
}

}  // namespace fairlead
