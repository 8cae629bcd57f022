// What every command gets, and the rule they all follow: a command returns the text for stdout, or the one line for
// stderr. Nothing is printed inside.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead::ctl {

struct Context {
  Paths paths;
  bool json = false;
  bool failed = false;                // a command has answered, and the answer is bad news: exit status 1
  std::vector<std::string> warnings;  // printed to stderr, one a line, whatever the command returns
};

using Output = Result<std::string>;

}  // namespace fairlead::ctl
