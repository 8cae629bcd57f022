#include "agent/egress_wall.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "agent/host_record.h"
#include "base/file.h"
#include "kernel/rtnl.h"
#include "kernel/tc_egress.h"
#include "overlay/names.h"
#include "overlay/wireguard_plan.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;
using kernel::EgressProgram;

constexpr auto kLookAgain = 1s;
constexpr auto kAskAgain = 5s;  // routes: a request for each node
constexpr int kLockTimeoutMs = 10000;

// Under the lock; saved when it is different afterwards.
template <class Change>
Result<HostRecord> change_record(const Paths& paths, Change change) {
  FL_CHECK(make_folders(paths.run));
  FL_TRY(Fd lock, lock_file(paths.run + "/.host.lock", kLockTimeoutMs));
  FL_TRY(HostRecord record, load_host_record(paths));
  const HostRecord before = record;
  change(record);
  if (record != before) FL_CHECK(save_host_record(paths, record));
  return record;
}

std::vector<uint16_t> merge(const std::vector<uint16_t>& one, const std::vector<uint16_t>& two) {
  std::vector<uint16_t> all;
  std::set_union(one.begin(), one.end(), two.begin(), two.end(), std::back_inserter(all));
  return all;
}

bool same(const std::vector<sock_filter>& a, const std::vector<sock_filter>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const sock_filter& x, const sock_filter& y) {
    return x.code == y.code && x.jt == y.jt && x.jf == y.jf && x.k == y.k;
  });
}

// Also when there is nothing left to take away.
Result<void> remove_wall(kernel::NetlinkSocket& socket, uint32_t index, bool queue_is_ours) {
  kernel::Batch batch;
  batch.push_back(kernel::delete_egress_program(index));
  FL_CHECK(socket.run(std::move(batch)));
  if (!queue_is_ours) return {};
  FL_TRY(bool used, kernel::has_filters(socket, index));
  if (used) return {};
  kernel::Batch queue;
  queue.push_back(kernel::delete_clsact(index));
  return socket.run(std::move(queue));
}

}  // namespace

// The link with this node's own address, and those its routes to the others lead by. And where packets for WireGuard's
// devices would go without its routes: 169.254.0.1 is no node's.
Result<std::set<uint32_t>> EgressWall::links_of(kernel::NetlinkSocket& socket,
                                                const overlay::EgressFacts& facts) const {
  std::set<uint32_t> links;
  FL_TRY(auto addresses, kernel::dump_addresses(socket));
  for (const auto& a : addresses)
    if (a.prefix.address == facts.self) links.insert(a.index);
  auto ends = facts.peers;
  ends.push_back(Address::v4(0xa9fe0001));
  for (const auto& peer : ends) {
    FL_TRY(auto found, kernel::links_to(socket, peer));
    links.insert(found.begin(), found.end());
  }
  // Not where the packets are still to be encrypted, or never leave the host.
  FL_TRY(auto wireguard, kernel::find_link(socket, std::string(overlay::kWireguardLink)));
  if (wireguard) links.erase(wireguard->index);
  FL_TRY(auto loopback, kernel::find_link(socket, std::string("lo")));
  if (loopback) links.erase(loopback->index);
  return links;
}

Result<void> EgressWall::ensure_link(const Paths& paths, kernel::NetlinkSocket& socket, uint32_t index,
                                     Repairs& repairs) {
  FL_TRY(EgressProgram there, kernel::find_egress_program(socket, index));
  const auto program = overlay::egress_program(ports_);
  if (same(there.program, program)) {
    built_.insert(index);
    return {};
  }
  if (there.place == EgressProgram::Place::kIngress)
    return fail("link " + std::to_string(index) +
                    " has a queue \"ingress\", which leaves no room for a filter on what " +
                    "goes out; replace it with: tc qdisc replace … clsact",
                EBUSY);
  if (built_.contains(index)) repairs.add("egress");
  const bool bare = there.place == EgressProgram::Place::kNone;
  FL_TRY(auto record, change_record(paths, [&](HostRecord& r) {
           r.egress_ports = merge(r.egress_ports, ports_);
           r.egress_links.insert(index);
           if (bare) r.egress_queues.insert(index);
         }));
  kernel::Batch batch;
  if (bare) batch.push_back(std::move(kernel::add_clsact(index).tolerate({EEXIST})));
  batch.push_back(kernel::set_egress_program(index, program));
  auto done = socket.run(std::move(batch));
  if (!done && done.error().sys == ENODEV) return {};  // it has gone
  if (done) built_.insert(index);
  return done;
}

Result<void> EgressWall::ensure(const Paths& paths, const overlay::EgressFacts& facts, Repairs& repairs) {
  if (facts.ports.empty()) return {};
  const auto now = Clock::now();
  const bool news = known_ != facts;
  if (!news && now - looked_at_ < kLookAgain) return last_;
  looked_at_ = now;
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  if (news || now - asked_at_ >= kAskAgain) {
    FL_TRY(links_, links_of(socket, facts));
    asked_at_ = now;
  }
  if (news) {
    FL_TRY(auto record, load_host_record(paths));
    auto ports = merge(record.egress_ports, facts.ports);
    if (ports != ports_) built_.clear();  // what is different now is no drift
    ports_ = std::move(ports);
    known_ = facts;
  }
  last_ = {};
  for (uint32_t index : links_) {
    auto done = ensure_link(paths, socket, index, repairs);
    if (!done && last_) last_ = fail(done.error().with("the last wall of encrypted networks"));
  }
  return last_;
}

Result<void> EgressWall::release(const Paths& paths, const overlay::EgressFacts& facts) {
  FL_TRY(HostRecord record, load_host_record(paths));
  const std::set<uint32_t> wanted = facts.ports.empty() ? std::set<uint32_t>() : links_;
  const bool links_fit =
      std::includes(wanted.begin(), wanted.end(), record.egress_links.begin(), record.egress_links.end());
  if (links_fit && record.egress_ports == facts.ports) return {};
  if (!facts.ports.empty() && known_ != facts) return {};  // ensure() has not been here yet
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  for (uint32_t index : record.egress_links) {
    if (wanted.contains(index)) continue;
    FL_CHECK(remove_wall(socket, index, record.egress_queues.contains(index)));
    built_.erase(index);
  }
  FL_TRY(record, change_record(paths, [&](HostRecord& r) {
           r.egress_ports = facts.ports;
           for (auto* indexes : {&r.egress_links, &r.egress_queues})
             std::erase_if(*indexes, [&](uint32_t index) { return !wanted.contains(index); });
         }));
  known_ = {};  // the next ensure() sets the remaining ones anew
  return {};
}

}  // namespace fairlead::agent
