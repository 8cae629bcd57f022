// One health check on its way: a non-blocking connection that says good, bad, or not yet. Threads: one.
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "lb/checker.h"
#include "lb/health.h"

namespace fairlead::lb {

class CheckConnection {
 public:
  // In the calling thread's network namespace. An Error is this process' own problem (descriptors, memory); a backend
  // that refuses at once is an answer of step().
  static Result<CheckConnection> open(const HealthTarget& target);

  int fd() const { return fd_.get(); }
  bool wants_write() const { return phase_ == Phase::kConnecting || phase_ == Phase::kSending; }
  // To be called when the descriptor is ready, and once after open(). nullopt: not decided yet.
  std::optional<CheckResult> step();

 private:
  enum class Phase { kConnecting, kSending, kReading };
  CheckConnection() = default;
  std::optional<CheckResult> send_request();
  std::optional<CheckResult> read_response();

  Fd fd_;
  Phase phase_ = Phase::kConnecting;
  bool refused_ = false;
  std::string request_;  // empty: a TCP check
  std::string received_;
};

std::string health_request(const HealthTarget& target);

}  // namespace fairlead::lb
