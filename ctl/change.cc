#include "ctl/change.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/channel.h"
#include "cluster/control.h"
#include "cluster/membership.h"

namespace fairlead::ctl {
namespace {

constexpr int kLockMs = 10000, kAttempts = 10;
constexpr unsigned kPauseUs = 50000;

Result<Json> ask(const Paths& paths, const Json& request) {
  std::signal(SIGPIPE, SIG_IGN);
  auto answer = cluster::ask_agent(paths, request);
  if (!answer && (answer.error().sys == ENOENT || answer.error().sys == ECONNREFUSED))
    return fail(
        "this node is in a cluster, and fairlead-agent, which speaks to its managers, is not running; start it");
  return answer;
}

}  // namespace

Result<Change> Change::begin(const Context& context, const std::string& lock) {
  Change change;
  change.paths_ = context.paths;
  FL_TRY(auto member, cluster::load_membership(context.paths));
  if (member) {
    change.in_cluster_ = true;
    FL_TRY(Json answer, ask(context.paths, {{"op", "begin"}}));
    change.revision_ = cluster::number_at(answer, "revision");
    return change;
  }
  FL_CHECK(make_folders(lock.substr(0, lock.rfind('/'))));
  FL_TRY(change.lock_, lock_file(lock, kLockMs));
  return change;
}

Result<void> Change::write(const std::string& key, const std::string& path, const std::string& text) {
  if (in_cluster_) {
    FL_CHECK(ask(paths_, {{"op", "submit"}, {"key", key}, {"value", text}, {"revision", revision_}}));
    return {};
  }
  FL_CHECK(make_folders(path.substr(0, path.rfind('/'))));
  return replace_file(path, text, Durability::kDurable);
}

Result<void> Change::remove(const std::string& key, const std::string& path) {
  if (in_cluster_) {
    FL_CHECK(ask(paths_, {{"op", "submit"}, {"key", key}, {"revision", revision_}}));
    return {};
  }
  FL_CHECK(remove_file(path));
  return {};
}

Output change_documents(Context& context, const std::string& lock, const std::function<Output(Change&)>& decide) {
  for (int attempt = 1;; attempt++) {
    FL_TRY(Change change, Change::begin(context, lock));
    Output output = decide(change);
    bool again = !output && output.error().sys == EAGAIN && change.in_cluster() && attempt < kAttempts;
    if (!again) return output;
    ::usleep(kPauseUs);  // until the directory has what the others did
  }
}

}  // namespace fairlead::ctl
