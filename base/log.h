// One line per event on stderr, with the syslog priority prefix systemd's journal reads ("<6>") when stderr is
// not a terminal. Libraries do not log above debug; daemons do. Threads: a line is one write(2).
#pragma once

#include <string_view>

#include "base/result.h"

namespace fairlead {

enum class LogLevel { kError = 3, kWarning = 4, kInfo = 6, kDebug = 7 };

Result<LogLevel> parse_log_level(std::string_view name);  // error warning info debug
void set_log_level(LogLevel level);
void log(LogLevel level, std::string_view text);
inline void log_error(std::string_view text) { log(LogLevel::kError, text); }
inline void log_warning(std::string_view text) { log(LogLevel::kWarning, text); }
inline void log_info(std::string_view text) { log(LogLevel::kInfo, text); }
inline void log_debug(std::string_view text) { log(LogLevel::kDebug, text); }

}  // namespace fairlead
