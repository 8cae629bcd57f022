#include "agent/host.h"

#include <dirent.h>

#include <algorithm>
#include <memory>

#include "agent/cluster_documents.h"
#include "agent/foreign_forward.h"
#include "agent/host_record.h"
#include "agent/uplink_index.h"
#include "base/file.h"
#include "overlay/host_rules.h"
#include "overlay/names.h"

namespace fairlead::agent {
namespace {

constexpr const char* kForward4 = "net/ipv4/ip_forward";
constexpr const char* kForward6 = "net/ipv6/conf/all/forwarding";
constexpr int kLockTimeoutMs = 10000;

struct CloseFolder {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

std::string accept_ra_key(const std::string& name) { return "net/ipv6/conf/" + name + "/accept_ra"; }

// Interfaces (and "default") that take router advertisements only as long as the host does not forward
// (Documentation/networking/ip-sysctl.rst, accept_ra): with 2 they go on doing so.
std::vector<std::string> listeners_to_advertisements() {
  std::vector<std::string> names;
  std::unique_ptr<DIR, CloseFolder> dir(::opendir("/proc/sys/net/ipv6/conf"));
  while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    std::string name = entry->d_name;
    if (name[0] == '.' || name == "all" || name == "lo" || name.starts_with("ul")) continue;
    auto value = read_sysctl(accept_ra_key(name));
    if (value && *value && **value == "1") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<bool> is_off(const char* key) {
  FL_TRY(auto value, read_sysctl(key));
  if (!value) return fail("this kernel has no " + std::string(key) + "; IPv6 is switched off (ipv6.disable=1?)");
  return *value == "0";
}

// Decides, and writes down, whether it is us who open forwarding.
Result<void> record_forwarding(const Paths& paths, bool v6, HostRecord& record) {
  HostRecord before = record;
  if (!record.opened4) {
    FL_TRY(record.opened4, is_off(kForward4));
  }
  if (v6 && !record.opened6) {
    FL_TRY(record.opened6, is_off(kForward6));
    // Written before it is done; and done before forwarding goes on, because that moment removes the routes learnt
    // from advertisements of every interface that is still at 1 (rt6_purge_dflt_routers in net/ipv6/route.c).
    if (*record.opened6) record.accept_ra = listeners_to_advertisements();
  }
  if (record == before) return {};
  return save_host_record(paths, record);
}

Result<void> open_forwarding(const HostRecord& record, bool v6, bool first, Repairs& repairs) {
  FL_TRY(bool off4, is_off(kForward4));
  if (off4) {
    FL_CHECK(write_sysctl(kForward4, "1"));
    if (!first) repairs.add("sysctl");
  }
  if (!v6) return {};
  FL_TRY(bool off6, is_off(kForward6));
  if (!off6) return {};
  for (const auto& name : record.accept_ra) FL_CHECK(write_sysctl(accept_ra_key(name), "2"));
  FL_CHECK(write_sysctl(kForward6, "1"));
  if (!first) repairs.add("sysctl");
  return {};
}

Result<void> ensure_locked(const Paths& paths, bool v6, Repairs& repairs) {
  FL_TRY(HostRecord record, load_host_record(paths));
  const bool first = !record.opened4 || (v6 && !record.opened6);
  FL_CHECK(record_forwarding(paths, v6, record));
  FL_TRY(auto nft, kernel::NftSession::open());
  overlay::HostRuleFacts facts;
  facts.opened4 = record.opened4.value_or(false);
  facts.opened6 = record.opened6.value_or(false);
  FL_CHECK(read_tunnel_facts(paths, facts));
  facts.ipsec_ports = record.ipsec_ports;
  RulesMark mark = record.rules;
  // Rules first: between opening forwarding and closing it again nothing may pass.
  FL_TRY(auto outcome, ensure_rules(nft, overlay::kHostTable, overlay::host_rules(facts), record.rules));
  if (outcome == RulesOutcome::kRepaired) repairs.add("nft");
  if (record.rules != mark) FL_CHECK(save_host_record(paths, record));
  FL_CHECK(open_forwarding(record, v6, first, repairs));
  FL_TRY(bool inserted, ensure_forward_accept(nft));
  if (inserted && !first) repairs.add("forward");
  return {};
}

Result<void> close_forwarding(const HostRecord& record) {
  if (record.opened4.value_or(false)) FL_CHECK(write_sysctl(kForward4, "0"));
  if (!record.opened6.value_or(false)) return {};
  FL_CHECK(write_sysctl(kForward6, "0"));
  for (const auto& name : record.accept_ra) {
    auto value = read_sysctl(accept_ra_key(name));
    if (value && *value && **value == "2") FL_CHECK(write_sysctl(accept_ra_key(name), "1"));
  }
  return {};
}

}  // namespace

Result<void> ensure_host(const Paths& paths, bool v6, Repairs& repairs) {
  FL_CHECK(make_folders(paths.run));
  FL_TRY(Fd lock, lock_file(paths.run + "/.host.lock", kLockTimeoutMs));
  if (auto done = ensure_locked(paths, v6, repairs); !done) return fail(done.error().with("host"));
  return {};
}

bool host_forwards(bool v6) {
  auto off4 = is_off(kForward4);
  if (!off4 || *off4) return false;
  if (!v6) return true;
  auto off6 = is_off(kForward6);
  return off6 && !*off6;
}

Result<void> release_host(const Paths& paths) {
  FL_CHECK(make_folders(paths.run));
  FL_TRY(Fd lock, lock_file(paths.run + "/.host.lock", kLockTimeoutMs));
  FL_TRY(auto reserved, reserved_indexes(paths));
  if (!reserved.empty()) return {};
  FL_TRY(HostRecord record, load_host_record(paths));
  if (!record.opened4) return {};
  FL_CHECK(close_forwarding(record));
  FL_TRY(auto nft, kernel::NftSession::open());
  FL_CHECK(remove_forward_accept(nft));
  FL_CHECK(nft.run(std::string("table inet ") + overlay::kHostTable + " {}\ndelete table inet " + overlay::kHostTable));
  // Policies and the last wall go by themselves (agent/ipsec_guard.h, egress_wall.h).
  return record.has_walls() ? save_host_record(paths, record.walls()) : remove_host_record(paths);
}

}  // namespace fairlead::agent
