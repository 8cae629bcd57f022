#include "kernel/nft_dump.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <initializer_list>

namespace fairlead::kernel {
namespace {

uint64_t mix(uint64_t hash, std::string_view bytes) {
  for (unsigned char c : bytes) hash = (hash ^ c) * 0x100000001b3;
  return (hash ^ bytes.size()) * 0x100000001b3;
}
constexpr uint64_t kSeed = 0xcbf29ce484222325;

Message request(unsigned message, const std::string& table, std::string what) {
  Message m(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message), 0, std::move(what));
  m.header(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  if (!table.empty()) m.put_string(NFTA_TABLE_NAME, table);  // 1 is the table's name in all four kinds of request
  return m;
}

// Only the attributes that say what was asked for; newer kernels add counts that change by themselves.
uint64_t digest_of(const Attributes& a, std::initializer_list<uint16_t> types) {
  uint64_t hash = kSeed;
  for (auto type : types) hash = mix(hash, a.bytes(type));
  return hash;
}

class Reader {
 public:
  Reader(NetlinkSocket& socket, const std::string& table) : socket_(socket), table_(table) {}

  Result<void> chains() {
    uint64_t before = state_.digest;
    // The kernel does not filter chains by table.
    return socket_.dump(
        request(NFT_MSG_GETCHAIN, "", "list chains"),
        [&](const nlmsghdr& message) {
          Attributes a(message, sizeof(nfgenmsg));
          if (a.text(NFTA_CHAIN_TABLE) != table_) return;
          state_.chains.push_back(a.text(NFTA_CHAIN_NAME));
          // A sum: the order of chains is the kernel's business.
          state_.digest +=
              digest_of(a, {NFTA_CHAIN_NAME, NFTA_CHAIN_HANDLE, NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE});
        },
        [&] {
          state_.chains.clear();
          state_.digest = before;
        });
  }

  Result<void> rules() {
    uint64_t before = state_.digest;
    return socket_.dump(
        request(NFT_MSG_GETRULE, table_, "list rules"),
        [&](const nlmsghdr& message) {
          Attributes a(message, sizeof(nfgenmsg));
          if (a.text(NFTA_RULE_TABLE) != table_) return;
          state_.digest += digest_of(a, {NFTA_RULE_CHAIN, NFTA_RULE_HANDLE, NFTA_RULE_POSITION, NFTA_RULE_EXPRESSIONS});
        },
        [&] { state_.digest = before; });
  }

  Result<void> sets() {
    uint64_t before = state_.digest;
    return socket_.dump(
        request(NFT_MSG_GETSET, table_, "list sets"),
        [&](const nlmsghdr& message) {
          Attributes a(message, sizeof(nfgenmsg));
          const uint32_t flags = ntohl(a.u32(NFTA_SET_FLAGS));
          if (a.text(NFTA_SET_TABLE) != table_ || (flags & NFT_SET_ANONYMOUS)) return;
          (flags & NFT_SET_MAP ? state_.maps : state_.sets).push_back(a.text(NFTA_SET_NAME));
          state_.digest +=
              digest_of(a, {NFTA_SET_NAME, NFTA_SET_HANDLE, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN});
        },
        [&] {
          state_.sets.clear();
          state_.maps.clear();
          state_.digest = before;
        });
  }

  Result<void> elements(const std::string& set) {
    uint64_t before = state_.digest;
    Message m = request(NFT_MSG_GETSETELEM, table_, "list elements of " + set);
    m.put_string(NFTA_SET_ELEM_LIST_SET, set);
    return socket_.dump(
        std::move(m),
        [&](const nlmsghdr& message) {
          Attributes(message, sizeof(nfgenmsg))
              .nested(NFTA_SET_ELEM_LIST_ELEMENTS)
              .each([&](uint16_t, std::string_view one) {
                Attributes element(one.data(), one.size());
                state_.digest +=
                    digest_of(element, {NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_FLAGS}) ^ mix(kSeed, set);
              });
        },
        [&] { state_.digest = before; });
  }

  NftTableState take() { return std::move(state_); }
  NftTableState& state() { return state_; }

 private:
  NetlinkSocket& socket_;
  const std::string& table_;
  NftTableState state_;
};

}  // namespace

Result<NftTableState> read_nft_table(NetlinkSocket& socket, const std::string& table,
                                     const std::vector<std::string>& fixed_sets) {
  auto found = socket.query(request(NFT_MSG_GETTABLE, table, "find table " + table), [](const nlmsghdr&) {});
  if (!found && found.error().sys == ENOENT) return NftTableState{};
  FL_CHECK(found);
  Reader reader(socket, table);
  FL_CHECK(reader.chains());
  FL_CHECK(reader.rules());
  FL_CHECK(reader.sets());
  std::vector<std::string> present = reader.state().sets;
  present.insert(present.end(), reader.state().maps.begin(), reader.state().maps.end());
  for (const auto& set : fixed_sets)
    for (const auto& name : present)
      if (name == set) FL_CHECK(reader.elements(set));
  reader.state().exists = true;
  return reader.take();
}

Result<std::set<std::string>> chains_with_rules(NetlinkSocket& socket, const std::string& table) {
  std::set<std::string> chains;
  auto listed = socket.dump(
      request(NFT_MSG_GETRULE, table, "list rules"),
      [&](const nlmsghdr& message) {
        Attributes a(message, sizeof(nfgenmsg));
        if (a.text(NFTA_RULE_TABLE) == table) chains.insert(a.text(NFTA_RULE_CHAIN));
      },
      [&] { chains.clear(); });
  if (!listed && listed.error().sys != ENOENT) return fail(listed.error());
  return chains;
}

}  // namespace fairlead::kernel
