#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

namespace fairlead {
namespace {
std::atomic<LogLevel> g_level{LogLevel::kInfo};
}

Result<LogLevel> parse_log_level(std::string_view name) {
  if (name == "error") return LogLevel::kError;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "info") return LogLevel::kInfo;
  if (name == "debug") return LogLevel::kDebug;
  return fail("log level \"" + std::string(name) + "\": expected error, warning, info or debug");
}

void set_log_level(LogLevel level) { g_level = level; }

void log(LogLevel level, std::string_view text) {
  if (level > g_level.load(std::memory_order_relaxed)) return;
  std::string line;
  if (!isatty(STDERR_FILENO)) line = "<" + std::to_string(static_cast<int>(level)) + ">";
  // Names and peers' texts may carry control characters; a log line stays one line.
  for (char c : text) line += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
  line += '\n';
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace fairlead
