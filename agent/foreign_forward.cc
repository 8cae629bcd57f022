#include "agent/foreign_forward.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/file.h"
#include "kernel/rtnl.h"

namespace fairlead::agent {
namespace {

using kernel::Attributes;
using kernel::Message;
using kernel::NetlinkSocket;

constexpr const char* kTable = "filter";
constexpr const char* kChain = "FORWARD";
constexpr const char* kComment = "fairlead";
constexpr uint8_t kCommentType = 0;  // NFTNL_UDATA_RULE_COMMENT (libnftnl udata.h)

Message request(uint16_t type, uint8_t family, const char* what) {
  Message m(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), 0, what);
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  m.header(header);
  return m;
}

// User data of a rule is a list of type (1 byte), length (1 byte), value. The comment, "" when there is none.
std::string comment_of(std::string_view userdata) {
  while (userdata.size() >= 2) {
    const auto type = static_cast<uint8_t>(userdata[0]);
    const auto length = static_cast<uint8_t>(userdata[1]);
    if (userdata.size() < 2u + length) return "";
    std::string_view value = userdata.substr(2, length);
    if (type == kCommentType) return std::string(value.substr(0, value.find('\0')));
    userdata.remove_prefix(2u + length);
  }
  return "";
}

struct ForwardChain {
  bool exists = false, drops = false;
  size_t foreign_rules = 0;
  std::vector<uint64_t> ours;           // handles
  std::multiset<std::string> comments;  // of ours
};

Result<ForwardChain> read_chain(NetlinkSocket& socket, uint8_t family) {
  ForwardChain chain;
  Message get = request(NFT_MSG_GETCHAIN, family, "look up chain filter FORWARD");
  get.put_string(NFTA_CHAIN_TABLE, kTable).put_string(NFTA_CHAIN_NAME, kChain);
  auto found = socket.query(std::move(get), [&](const nlmsghdr& message) {
    if ((message.nlmsg_type & 0xff) != NFT_MSG_NEWCHAIN) return;
    Attributes a(message, sizeof(nfgenmsg));
    if (!a.has(NFTA_CHAIN_HOOK)) return;  // not a base chain: nothing of ours passes it by itself
    chain.exists = true;
    chain.drops = ntohl(a.u32(NFTA_CHAIN_POLICY, htonl(NF_ACCEPT))) == NF_DROP;
  });
  if (!found && found.error().sys != ENOENT) return fail(found.error());
  if (!chain.exists) return chain;
  Message list = request(NFT_MSG_GETRULE, family, "list chain filter FORWARD");
  list.put_string(NFTA_RULE_TABLE, kTable).put_string(NFTA_RULE_CHAIN, kChain);
  FL_CHECK(socket.dump(
      std::move(list),
      [&](const nlmsghdr& message) {
        if ((message.nlmsg_type & 0xff) != NFT_MSG_NEWRULE) return;
        Attributes a(message, sizeof(nfgenmsg));
        if (a.text(NFTA_RULE_TABLE) != kTable || a.text(NFTA_RULE_CHAIN) != kChain) return;
        std::string comment = comment_of(a.bytes(NFTA_RULE_USERDATA));
        if (!comment.starts_with(kComment)) {
          chain.foreign_rules++;
          return;
        }
        chain.ours.push_back(__builtin_bswap64(a.u64(NFTA_RULE_HANDLE)));
        chain.comments.insert(std::move(comment));
      },
      [&] { chain.ours.clear(), chain.comments.clear(), chain.foreign_rules = 0; }));
  return chain;
}

struct Family {
  uint8_t number;
  const char* word;
};
constexpr Family kFamilies[] = {{NFPROTO_IPV4, "ip"}, {NFPROTO_IPV6, "ip6"}};

std::string removal(const Family& family, const ForwardChain& chain) {
  std::string text;
  for (auto handle : chain.ours)
    text += std::string("delete rule ") + family.word + " filter FORWARD handle " + std::to_string(handle) + "\n";
  return text;
}

// Names go into nft's language: anything that is not a plain word is left out.
bool is_plain(const std::string& name) {
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
                              std::string::npos;
}

// Comment → match. The comment tells a rule's meaning, so that what is there can be compared without parsing rules.
std::map<std::string, std::string> wanted_rules(const std::vector<std::string>& outward) {
  std::map<std::string, std::string> rules{{kComment, "oifname \"ul*\""}};
  for (const auto& link : outward)
    rules[std::string(kComment) + " to " + link] = "iifname \"ul*\" oifname \"" + link + "\"";
  return rules;
}

bool is_complete(const ForwardChain& chain, const std::map<std::string, std::string>& wanted) {
  if (chain.comments.size() != wanted.size()) return false;
  return std::equal(wanted.begin(), wanted.end(), chain.comments.begin(),
                    [](const auto& rule, const std::string& comment) { return rule.first == comment; });
}

}  // namespace

Result<std::vector<std::string>> outward_links() {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto links, kernel::dump_links(socket));
  FL_TRY(auto routes, kernel::dump_routes(socket));
  std::set<uint32_t> to_gateways;
  for (const auto& route : routes)
    if (route.gateway) to_gateways.insert(route.index);
  std::vector<std::string> names;
  for (const auto& link : links) {
    if (link.name == "lo" || link.name.starts_with("ul") || !is_plain(link.name)) continue;
    if (to_gateways.count(link.index) || (link.kind != "bridge" && link.kind != "veth")) names.push_back(link.name);
  }
  return names;
}

Result<bool> ensure_forward_accept(kernel::NftSession& nft) {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_NETFILTER));
  std::string commands;
  for (const auto& family : kFamilies) {
    FL_TRY(auto chain, read_chain(socket, family.number));
    if (!chain.exists || (!chain.drops && chain.foreign_rules == 0)) continue;
    FL_TRY(auto outward, outward_links());
    auto wanted = wanted_rules(outward);
    if (is_complete(chain, wanted)) continue;
    commands += removal(family, chain);
    // As iptables itself would write them, so that iptables-save and -S show them and -D can remove them.
    for (const auto& [comment, match] : wanted)
      commands += std::string("insert rule ") + family.word + " filter FORWARD " + match +
                  " counter accept comment \"" + comment + "\"\n";
  }
  if (commands.empty()) return false;
  if (auto done = nft.run(commands); !done) return fail(done.error().with("chain filter FORWARD"));
  return true;
}

Result<void> remove_forward_accept(kernel::NftSession& nft) {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_NETFILTER));
  std::string commands;
  for (const auto& family : kFamilies) {
    FL_TRY(auto chain, read_chain(socket, family.number));
    commands += removal(family, chain);
  }
  if (commands.empty()) return {};
  return nft.run(commands);
}

std::vector<std::string> legacy_problems() {
  std::vector<std::string> problems;
  for (const char* program : {"iptables", "ip6tables"}) {
    auto names = read_file(std::string("/proc/net/") + (program[2] == '6' ? "ip6" : "ip") + "_tables_names");
    if (!names || !*names || ("\n" + **names).find("\nfilter\n") == std::string::npos) continue;
    const std::string legacy = std::string(program) + "-legacy";
    problems.push_back(legacy +
                       "'s filter table is in use; if its FORWARD chain drops, traffic to and from networks is "
                       "lost. Run: " +
                       legacy + " -I FORWARD -i ul+ -j ACCEPT; " + legacy +
                       " -I FORWARD -o ul+ -j ACCEPT (or move its owner to iptables-nft)");
  }
  return problems;
}

}  // namespace fairlead::agent
