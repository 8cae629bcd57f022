#include "kernel/tc_egress.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/tc_header.h"

namespace fairlead::kernel {
namespace {

constexpr uint32_t kQueueHandle = 0xffffu << 16;
constexpr uint32_t kEgress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
                   kIngress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr uint32_t kFilterHandle = 1;
constexpr const char* kName = "fairlead";

uint32_t filter_info() { return TC_H_MAKE(static_cast<uint32_t>(kEgressPriority) << 16, htons(ETH_P_ALL)); }

std::string on_link(const char* verb, uint32_t index) { return std::string(verb) + " link " + std::to_string(index); }

bool nothing_there(const Error& error) {
  return error.sys == ENOENT || error.sys == EINVAL || error.sys == ENODEV || error.sys == EOPNOTSUPP;
}

// A filter at our place that is not as we make them gives an empty program: it is put right.
std::vector<sock_filter> program_of(const Attributes& options) {
  std::string_view bytes = options.bytes(TCA_BPF_OPS);
  if (options.u32(TCA_BPF_FLAGS) != TCA_BPF_FLAG_ACT_DIRECT) return {};
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  if (!program.empty()) memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
  return program;
}

void take_links(const nlmsghdr& message, std::vector<uint32_t>& links) {
  Attributes route(message, sizeof(rtmsg));
  if (uint32_t index = route.u32(RTA_OIF)) links.push_back(index);
  std::string_view hops = route.bytes(RTA_MULTIPATH);
  while (hops.size() >= sizeof(rtnexthop)) {
    rtnexthop hop;
    memcpy(&hop, hops.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop) return;
    if (hop.rtnh_ifindex > 0) links.push_back(static_cast<uint32_t>(hop.rtnh_ifindex));
    hops.remove_prefix(std::min<size_t>(hops.size(), RTNH_ALIGN(hop.rtnh_len)));
  }
}

}  // namespace

Result<EgressProgram> find_egress_program(NetlinkSocket& socket, uint32_t index) {
  EgressProgram found;
  // Without ECHO the kernel tells listeners of its group only (nlmsg_notify).
  Message m(RTM_GETQDISC, NLM_F_ECHO, on_link("look up the clsact of", index));
  m.header(tc_header(index, TC_H_CLSACT));
  auto queue = socket.query(std::move(m), [&](const nlmsghdr& message) {
    const std::string kind = Attributes(message, sizeof(tcmsg)).text(TCA_KIND);
    if (kind == "clsact") found.place = EgressProgram::Place::kClsact;
    if (kind == "ingress") found.place = EgressProgram::Place::kIngress;
  });
  if (!queue && !nothing_there(queue.error())) return fail(queue.error());
  if (found.place != EgressProgram::Place::kClsact) return found;
  Message filters(RTM_GETTFILTER, 0, on_link("look up the filters of", index));
  filters.header(tc_header(index, kEgress));
  auto dumped = socket.dump(
      std::move(filters),
      [&](const nlmsghdr& message) {
        tcmsg header;
        memcpy(&header, NLMSG_DATA(&message), sizeof header);
        Attributes filter(message, sizeof header);
        if (header.tcm_info == filter_info() && header.tcm_handle == kFilterHandle && filter.text(TCA_KIND) == "bpf")
          found.program = program_of(filter.nested(TCA_OPTIONS));
      },
      [&] { found.program.clear(); });
  if (!dumped && !nothing_there(dumped.error())) return fail(dumped.error());
  return found;
}

Message add_clsact(uint32_t index) {
  Message m(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, on_link("add a clsact to", index));
  m.header(tc_header(index, TC_H_CLSACT, kQueueHandle)).put_string(TCA_KIND, "clsact");
  return m;
}

Message set_egress_program(uint32_t index, const std::vector<sock_filter>& program) {
  Message m(RTM_NEWTFILTER, NLM_F_CREATE, on_link("set the egress program of", index));
  m.header(tc_header(index, kEgress, kFilterHandle, filter_info())).put_string(TCA_KIND, "bpf");
  m.nest(TCA_OPTIONS, [&](Message& options) {
    options.put_u16(TCA_BPF_OPS_LEN, static_cast<uint16_t>(program.size()))
        .put(TCA_BPF_OPS, program.data(), program.size() * sizeof(sock_filter))
        .put_string(TCA_BPF_NAME, kName)
        .put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  });
  return m;
}

Message delete_egress_program(uint32_t index) {
  Message m(RTM_DELTFILTER, 0, on_link("remove the egress program of", index));
  m.header(tc_header(index, kEgress, kFilterHandle, filter_info())).put_string(TCA_KIND, "bpf");
  m.tolerate({ENOENT, EINVAL, ENODEV});
  return m;
}

Message delete_clsact(uint32_t index) {
  Message m(RTM_DELQDISC, 0, on_link("remove the clsact of", index));
  m.header(tc_header(index, TC_H_CLSACT, kQueueHandle)).tolerate({ENOENT, EINVAL, ENODEV});
  return m;
}

Result<bool> has_filters(NetlinkSocket& socket, uint32_t index) {
  bool any = false;
  for (uint32_t parent : {kIngress, kEgress}) {
    Message m(RTM_GETTFILTER, 0, on_link("look up the filters of", index));
    m.header(tc_header(index, parent));
    auto dumped = socket.dump(std::move(m), [&](const nlmsghdr&) { any = true; });
    if (!dumped && !nothing_there(dumped.error())) return fail(dumped.error());
  }
  return any;
}

Result<std::vector<uint32_t>> links_to(NetlinkSocket& socket, const Address& to) {
  std::vector<uint32_t> links;
  Message m(RTM_GETROUTE, 0, "look up the way to " + to.to_string());
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(to.family());
  header.rtm_dst_len = static_cast<uint8_t>(to.bits());
  header.rtm_flags = RTM_F_FIB_MATCH;  // the entry, with all its next hops, not one of them
  m.header(header).put(RTA_DST, to.bytes(), to.size());
  auto found = socket.query(std::move(m), [&](const nlmsghdr& message) { take_links(message, links); });
  if (!found && found.error().sys != ENETUNREACH && found.error().sys != EHOSTUNREACH && found.error().sys != ESRCH)
    return fail(found.error());
  return links;
}

}  // namespace fairlead::kernel
