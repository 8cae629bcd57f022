#include "lb/nft_table_keeper.h"

#include <linux/netlink.h>

#include "kernel/nft_dump.h"
#include "overlay/names.h"

namespace fairlead::lb {
namespace {

constexpr int kTries = 3;

std::vector<std::string> fixed_sets(const NftTable& table) {
  std::vector<std::string> names;
  for (const auto& [name, definition] : table.sets) names.push_back(name);
  return names;
}

}  // namespace

Result<NftTableKeeper> NftTableKeeper::open() {
  FL_TRY(auto session, kernel::NftSession::open());
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  return NftTableKeeper(std::move(session), std::move(socket));
}

Result<void> NftTableKeeper::write(const NftTable& wanted) {
  if (applied_) {
    std::string text = nft_transaction(&*applied_, wanted);
    if (text.empty()) return {};
    if (session_.run(text)) return {};
    applied_.reset();  // somebody has interfered: from what is really there
  }
  FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, {}));
  if (!state.exists) return session_.run(nft_transaction(nullptr, wanted));
  if (session_.run(nft_transaction(nullptr, wanted, {state.chains, state.sets, state.maps}))) return {};
  return session_.run(nft_replacement(wanted));
}

Result<void> NftTableKeeper::apply(NftTable wanted, const std::function<Result<void>()>& written) {
  if (applied_ && *applied_ == wanted) return written();
  removed_ = false;
  FL_TRY(uint32_t before, session_.generation());
  if (auto done = write(wanted); !done) {
    applied_.reset();
    return fail(done.error());
  }
  // A table that was not read back since the last write is only as good as its oldest write.
  if (!unread_) unread_ = before;
  (*unread_)++;
  applied_ = std::move(wanted);
  return written();
}

Result<void> NftTableKeeper::settle() {
  for (int attempt = 0; unread_ && applied_ && attempt < kTries; attempt++) {
    FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, fixed_sets(*applied_)));
    FL_TRY(generation_, session_.generation());
    digest_ = state.digest;
    if (generation_ == *unread_) break;
    // Somebody else's transaction came between, and what was read may not be what was written.
    NftTable wanted = std::move(*applied_);
    applied_.reset();
    FL_TRY(uint32_t before, session_.generation());
    FL_CHECK(write(wanted));
    applied_ = std::move(wanted);
    unread_ = before + 1;
  }
  unread_.reset();
  return {};
}

Result<void> NftTableKeeper::remove() {
  if (removed_) return {};
  applied_.reset();
  unread_.reset();
  FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, {}));
  if (state.exists) FL_CHECK(session_.run(std::string("delete table inet ") + overlay::kLbTable));
  removed_ = true;
  return {};
}

Result<bool> NftTableKeeper::drifted() {
  if (removed_) return false;
  if (!applied_) return true;
  FL_CHECK(settle());
  FL_TRY(uint32_t now, session_.generation());
  if (now == generation_) return false;
  FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, fixed_sets(*applied_)));
  if (state.exists && state.digest == digest_) {
    generation_ = now;
    return false;
  }
  applied_.reset();
  return true;
}

}  // namespace fairlead::lb
