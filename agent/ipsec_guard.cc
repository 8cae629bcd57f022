#include "agent/ipsec_guard.h"

#include <linux/xfrm.h>

#include <algorithm>
#include <cerrno>

#include "agent/host_record.h"
#include "base/file.h"
#include "kernel/ipsec_probe.h"
#include "kernel/netns.h"
#include "kernel/nft.h"
#include "overlay/names.h"
#include "overlay/router_rules.h"
#include "overlay/tunnel_rules.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kProbeAgain = 30s;
// Notifications can be lost without a word when a socket is slow; a dump of 1000 policies takes 0.4 ms.
constexpr auto kLookAgain = 3s;
constexpr int kRounds = 2;
constexpr int kLockTimeoutMs = 10000;

// The expressions of the host's rules, in a namespace that ends with the call.
Result<void> probe_rules() {
  FL_TRY(Fd apart, kernel::make_netns());
  return kernel::in_netns(apart.get(), []() -> Result<void> {
    FL_TRY(auto nft, kernel::NftSession::open());
    return nft.run(
        "table inet probe {\n"
        "  chain in {\n"
        "    type filter hook input priority filter;\n"
        "    meta secpath missing drop\n"
        "  }\n"
        "  chain out {\n"
        "    type filter hook output priority filter;\n"
        "    rt ipsec missing drop\n"
        "  }\n"
        "}\n");
  });
}

std::string probe() {
  auto missing = kernel::missing_for_ipsec();
  if (!missing) return missing.error().message;
  if (!missing->empty()) return *missing;
  auto rules = probe_rules();
  if (!rules)
    return "this kernel's nftables cannot tell encrypted packets from others (CONFIG_NFT_XFRM, modules nft_meta, "
           "nft_rt): " +
           rules.error().message;
  return "";
}

bool covers(const std::vector<uint16_t>& known, const std::vector<uint16_t>& ports) {
  return std::includes(known.begin(), known.end(), ports.begin(), ports.end());
}

Result<void> write_down(const Paths& paths, const std::vector<uint16_t>& ports, bool only_these) {
  FL_CHECK(make_folders(paths.run));
  FL_TRY(Fd lock, lock_file(paths.run + "/.host.lock", kLockTimeoutMs));
  FL_TRY(HostRecord record, load_host_record(paths));
  auto before = record.ipsec_ports;
  if (only_these) {
    record.ipsec_ports = ports;
  } else {
    std::vector<uint16_t> all;
    std::set_union(before.begin(), before.end(), ports.begin(), ports.end(), std::back_inserter(all));
    record.ipsec_ports = all;
  }
  if (record.ipsec_ports == before) return {};
  return save_host_record(paths, record);
}

// Of the former ports, what is not for the facts.
Result<bool> remove_stale(const overlay::IpsecFacts& facts, const std::vector<uint16_t>& former) {
  FL_TRY(auto socket, kernel::open_xfrm());
  if (!socket) return true;
  FL_TRY(auto states, kernel::dump_states(*socket));
  for (const auto& state : states)
    if (state.request_id == kernel::kRequestId) return false;
  FL_TRY(auto there, kernel::dump_policies(*socket));
  kernel::Batch batch;
  for (const auto& p : overlay::compare_policies(facts, former, there).stale) batch.push_back(kernel::delete_policy(p));
  FL_CHECK(socket->run(std::move(batch)));
  return true;
}

}  // namespace

const std::string& missing_for_ipsec() {
  static std::string missing;
  static std::optional<Clock::time_point> asked;
  const auto now = Clock::now();
  if (!asked || (!missing.empty() && now - *asked >= kProbeAgain)) {
    missing = probe();
    asked = now;
  }
  return missing;
}

// Whether nothing can be different from what was ensured last.
Result<bool> IpsecGuard::unchanged(const overlay::IpsecFacts& facts) {
  if (!events_) {
    FL_TRY(events_, kernel::open_xfrm());
    if (!events_) return fail("this kernel has no IPsec", EPROTONOSUPPORT);
    FL_CHECK(events_->join(XFRMNLGRP_POLICY));
    return false;
  }
  bool changed = false;
  auto drained = events_->receive([&](const nlmsghdr&) { changed = true; });
  if (!drained && drained.error().sys != ENOBUFS) {
    events_.reset();  // made anew the next time
    return fail(drained.error());
  }
  return drained && !changed && known_ == facts && Clock::now() - looked_at_ < kLookAgain;
}

// For all ports that were written down: what is encrypted for a former one may still come.
Result<void> IpsecGuard::ensure_quotes(const Paths& paths, Repairs& repairs) {
  FL_TRY(HostRecord record, load_host_record(paths));
  if (record.ipsec_ports.empty()) return {};
  FL_TRY(auto nft, kernel::NftSession::open());
  FL_TRY(auto outcome, ensure_rules(nft, overlay::kQuoteTable, overlay::quote_rules(record.ipsec_ports), quotes_));
  if (outcome == RulesOutcome::kRepaired) repairs.add("nft");
  return {};
}

Result<void> IpsecGuard::ensure_policies(const overlay::IpsecFacts& facts, Repairs& repairs) {
  const bool drift = known_ == facts;
  Result<void> applied;
  for (int round = 0;; round++) {
    FL_TRY(auto there, kernel::dump_policies(*socket_));
    // Walls of former ports stay until release(): their devices may still be there.
    auto difference = overlay::compare_policies(facts, {}, there);
    if (difference.missing.empty() && difference.stale.empty()) return {};
    if (round == kRounds) return applied ? fail("IPsec policies do not stay as they were set") : applied;
    if (drift && round == 0) repairs.add("policy", difference.missing.size() + difference.stale.size());
    kernel::Batch batch;
    for (const auto& p : difference.missing) batch.push_back(kernel::set_policy(p));
    for (const auto& p : difference.stale) batch.push_back(kernel::delete_policy(p));
    applied = socket_->run(std::move(batch));
  }
}

Result<void> IpsecGuard::ensure(const Paths& paths, const overlay::IpsecFacts& facts, bool rules_touched,
                                Repairs& repairs) {
  if (facts.ports.empty() && (!known_ || known_->ports.empty())) {
    events_.reset();  // nobody reads them
    return {};
  }
  FL_TRY(bool same, unchanged(facts));
  if (same && !rules_touched) return {};
  if (!socket_) {
    FL_TRY(socket_, kernel::open_xfrm());
  }
  if (!socket_) return fail("this kernel has no IPsec", EPROTONOSUPPORT);
  const bool more = !known_ || !covers(known_->ports, facts.ports);
  if (more) FL_CHECK(write_down(paths, facts.ports, false));
  if (more || rules_touched) FL_CHECK(ensure_quotes(paths, repairs));
  FL_CHECK(ensure_policies(facts, repairs));
  known_ = facts;
  looked_at_ = Clock::now();
  return {};
}

Result<bool> IpsecGuard::release(const Paths& paths, const overlay::IpsecFacts& facts) {
  FL_TRY(HostRecord record, load_host_record(paths));
  if (record.ipsec_ports == facts.ports || covers(facts.ports, record.ipsec_ports)) return false;
  FL_TRY(bool removed, remove_stale(facts, record.ipsec_ports));
  if (!removed) return false;
  if (facts.ports.empty()) {
    FL_TRY(auto nft, kernel::NftSession::open());
    FL_CHECK(nft.run(overlay::replace_table(overlay::kQuoteTable)));
    quotes_ = {};
  }
  FL_CHECK(write_down(paths, facts.ports, true));
  return true;
}

}  // namespace fairlead::agent
