// Durations as people write them: "500ms", "10s", "2m", "1h". Inside they are milliseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead {

// A whole number and a unit (ms s m h), at most 2^32-1 ms; "0" needs no unit. nullopt for anything else.
std::optional<uint32_t> parse_duration(std::string_view text);
// The shortest text that says the same: "10s", "1500ms".
std::string duration_text(uint32_t ms);

}  // namespace fairlead
