// Changing networks and services, the operator's documents. A node that is alone writes its directory, under a lock. A
// node of a cluster hands the change to the managers by way of fairlead-agent, with the revision it was decided on;
// what comes back through the agent is then in the directory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/fd.h"
#include "ctl/context.h"

namespace fairlead::ctl {

class Change {
 public:
  bool in_cluster() const { return in_cluster_; }
  // key: of the document in the cluster, "networks/appnet"; path: its file.
  Result<void> write(const std::string& key, const std::string& path, const std::string& text);
  Result<void> remove(const std::string& key, const std::string& path);

 private:
  friend Output change_documents(Context&, const std::string&, const std::function<Output(Change&)>&);
  static Result<Change> begin(const Context& context, const std::string& lock);
  Paths paths_;
  Fd lock_;
  bool in_cluster_ = false;
  int64_t revision_ = 0;
};

// Calls decide, which reads the directory and writes one document. lock: a file that is locked meanwhile when the node
// is alone. In a cluster decide is called again when others changed something in between.
Output change_documents(Context& context, const std::string& lock, const std::function<Output(Change&)>& decide);

}  // namespace fairlead::ctl
