#include "kernel/tc.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "kernel/tc_header.h"

namespace fairlead::kernel {
namespace {

constexpr uint32_t kRootHandle = 1u << 16;          // 1:
constexpr uint32_t kIngressHandle = 0xffffu << 16;  // ffff:, the only one an ingress can have
constexpr uint32_t kPriority = 1u << 16;            // of the filter
constexpr uint16_t kFirstAction = 1;

tc_mirred to_link(uint32_t index) {
  tc_mirred parameters{};
  parameters.action = TC_ACT_STOLEN;
  parameters.eaction = TCA_EGRESS_REDIR;
  parameters.ifindex = index;
  return parameters;
}

// One key that fits everything: the classifier "matchall" says the same and is not in every kernel.
std::array<char, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> match_all() {
  std::array<char, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> all{};  // a key of zeros: no bit has to be anything
  tc_u32_sel selector{};
  selector.flags = TC_U32_TERMINAL;
  selector.nkeys = 1;
  memcpy(all.data(), &selector, sizeof selector);
  return all;
}

template <class T>
std::optional<T> value_of(const Attributes& attributes, uint16_t type) {
  std::string_view bytes = attributes.bytes(type);
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  memcpy(&value, bytes.data(), sizeof value);
  return value;
}

uint32_t redirect_of(const Attributes& filter) {
  uint32_t index = 0;
  if (filter.text(TCA_KIND) != "u32") return 0;
  filter.nested(TCA_OPTIONS).nested(TCA_U32_ACT).each([&](uint16_t, std::string_view bytes) {
    Attributes action(bytes.data(), bytes.size());
    auto parameters = value_of<tc_mirred>(action.nested(TCA_ACT_OPTIONS), TCA_MIRRED_PARMS);
    if (action.text(TCA_ACT_KIND) == "mirred" && parameters && parameters->eaction == TCA_EGRESS_REDIR)
      index = parameters->ifindex;
  });
  return index;
}

}  // namespace

Message set_token_bucket(uint32_t index, const TokenBucket& bucket) {
  Message m(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, "limit link " + std::to_string(index));
  m.header(tc_header(index, TC_H_ROOT, kRootHandle)).put_string(TCA_KIND, "tbf");
  tc_tbf_qopt parameters{};
  parameters.rate.linklayer = TC_LINKLAYER_ETHERNET;  // the kernel computes; no table of times is sent along
  parameters.rate.rate = static_cast<uint32_t>(std::min<uint64_t>(bucket.rate, UINT32_MAX));
  parameters.limit = bucket.limit;
  m.nest(TCA_OPTIONS, [&](Message& options) {
    options.put(TCA_TBF_PARMS, &parameters, sizeof parameters).put_u32(TCA_TBF_BURST, bucket.burst);
    if (bucket.rate >= UINT32_MAX) options.put(TCA_TBF_RATE64, &bucket.rate, sizeof bucket.rate);
  });
  return m;
}

Result<std::optional<TokenBucket>> find_token_bucket(NetlinkSocket& socket, uint32_t index) {
  // Without ECHO the kernel tells listeners of its group only (nlmsg_notify).
  Message m(RTM_GETQDISC, NLM_F_ECHO, "look up the queue of link " + std::to_string(index));
  m.header(tc_header(index, TC_H_ROOT));
  std::optional<TokenBucket> bucket;
  auto found = socket.query(std::move(m), [&](const nlmsghdr& message) {
    Attributes qdisc(message, sizeof(tcmsg));
    if (qdisc.text(TCA_KIND) != "tbf") return;
    Attributes options = qdisc.nested(TCA_OPTIONS);
    auto parameters = value_of<tc_tbf_qopt>(options, TCA_TBF_PARMS);
    if (!parameters) return;
    bucket = TokenBucket{options.u64(TCA_TBF_RATE64, parameters->rate.rate), 0, parameters->limit};
  });
  // A queue the kernel made by itself is not told about (tc_qdisc_dump_ignore).
  if (!found && found.error().sys != ENOENT && found.error().sys != EINVAL) return fail(found.error());
  return bucket;
}

Message add_ifb(uint32_t index, const std::string& name, uint32_t mtu) {
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make ifb " + name);
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(index);
  header.ifi_change = header.ifi_flags = IFF_UP;
  m.header(header).put_string(IFLA_IFNAME, name).put_u32(IFLA_NUM_TX_QUEUES, 1).put_u32(IFLA_NUM_RX_QUEUES, 1);
  if (mtu) m.put_u32(IFLA_MTU, mtu);
  m.nest(IFLA_LINKINFO, [](Message& info) { info.put_string(IFLA_INFO_KIND, "ifb"); });
  return m;
}

Message add_ingress(uint32_t index) {
  Message m(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, "add an ingress to link " + std::to_string(index));
  m.header(tc_header(index, TC_H_INGRESS, kIngressHandle)).put_string(TCA_KIND, "ingress");
  return m;
}

Message delete_ingress(uint32_t index) {
  Message m(RTM_DELQDISC, 0, "remove the ingress of link " + std::to_string(index));
  m.header(tc_header(index, TC_H_INGRESS, kIngressHandle)).tolerate({ENOENT, EINVAL, ENODEV});
  return m;
}

Message redirect_ingress(uint32_t from, uint32_t to) {
  Message m(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
            "redirect from link " + std::to_string(from) + " to link " + std::to_string(to));
  m.header(tc_header(from, kIngressHandle, 0, kPriority | htons(ETH_P_ALL))).put_string(TCA_KIND, "u32");
  const auto all = match_all();
  const tc_mirred parameters = to_link(to);
  m.nest(TCA_OPTIONS, [&](Message& options) {
    options.put(TCA_U32_SEL, all.data(), all.size()).nest(TCA_U32_ACT, [&](Message& actions) {
      actions.nest(kFirstAction, [&](Message& action) {
        action.put_string(TCA_ACT_KIND, "mirred").nest(TCA_ACT_OPTIONS, [&](Message& mirred) {
          mirred.put(TCA_MIRRED_PARMS, &parameters, sizeof parameters);
        });
      });
    });
  });
  return m;
}

Result<uint32_t> find_redirect(NetlinkSocket& socket, uint32_t from) {
  uint32_t index = 0;
  Message m(RTM_GETTFILTER, 0, "look up the filters of link " + std::to_string(from));
  m.header(tc_header(from, kIngressHandle));
  auto dumped = socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        if (uint32_t found = redirect_of(Attributes(message, sizeof(tcmsg)))) index = found;
      },
      [&] { index = 0; });
  if (!dumped && dumped.error().sys != ENOENT && dumped.error().sys != EINVAL && dumped.error().sys != ENODEV)
    return fail(dumped.error());
  return index;
}

}  // namespace fairlead::kernel
