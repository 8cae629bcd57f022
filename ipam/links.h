// Symbolic links as the smallest documents there are: a text under a name, read by one system call, replaced at once.
// Internal to ipam/.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace fairlead::ipam {

// The text of a link; empty when there is none.
std::string read_link(const std::string& path);
// Made beside its place and renamed over it.
Result<void> replace_link(const std::string& path, const std::string& text);
// What is in a folder, without what begins with '.'; order of the file system. Empty when it cannot be read.
std::vector<std::string> names_in_folder(const std::string& folder);

}  // namespace fairlead::ipam
