#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fairlead::kernel {
namespace {

constexpr uint8_t kTcp = 6, kSctp = 132;

uint16_t be16(const Attributes& a, uint16_t type) { return ntohs(a.u16(type)); }

FlowTuple read_tuple(const Attributes& tuple, int family) {
  FlowTuple t;
  Attributes ip = tuple.nested(CTA_TUPLE_IP), proto = tuple.nested(CTA_TUPLE_PROTO);
  bool v4 = family == AF_INET;
  auto source = ip.bytes(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC),
       destination = ip.bytes(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  size_t size = v4 ? 4 : 16;
  if (source.size() == size) t.source = Address::from_bytes(family, source.data());
  if (destination.size() == size) t.destination = Address::from_bytes(family, destination.data());
  t.protocol = proto.u8(CTA_PROTO_NUM);
  t.source_port = be16(proto, CTA_PROTO_SRC_PORT);
  t.destination_port = be16(proto, CTA_PROTO_DST_PORT);
  return t;
}

void put_tuple(Message& m, uint16_t type, const FlowTuple& t) {
  bool v4 = t.source.is_v4();
  m.nest(type | NLA_F_NESTED, [&](Message& tuple) {
    tuple.nest(CTA_TUPLE_IP | NLA_F_NESTED, [&](Message& ip) {
      ip.put(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, t.source.bytes(), t.source.size());
      ip.put(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, t.destination.bytes(), t.destination.size());
    });
    tuple.nest(CTA_TUPLE_PROTO | NLA_F_NESTED, [&](Message& proto) {
      proto.put_u8(CTA_PROTO_NUM, t.protocol);
      proto.put_u16(CTA_PROTO_SRC_PORT, htons(t.source_port));
      proto.put_u16(CTA_PROTO_DST_PORT, htons(t.destination_port));
    });
  });
}

uint16_t message_type(unsigned message) { return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message); }

}  // namespace

bool Flow::alive() const {
  if (original.protocol == kTcp) return tcp_state < TCP_CONNTRACK_FIN_WAIT || tcp_state == TCP_CONNTRACK_SYN_SENT2;
  // SCTP: SHUTDOWN_SENT and later, linux/netfilter/nf_conntrack_sctp.h
  if (original.protocol == kSctp) return tcp_state < 5 || tcp_state > 7;
  return true;
}

Result<void> dump_flows(NetlinkSocket& socket, const std::function<void(const Flow&)>& each) {
  Message request(message_type(IPCTNL_MSG_CT_GET), 0, "read connection tracking");
  request.header(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0});
  return socket.dump(std::move(request), [&](const nlmsghdr& message) {
    if (message.nlmsg_type != message_type(IPCTNL_MSG_CT_NEW)) return;
    Attributes a(message, sizeof(nfgenmsg));
    const int family = static_cast<const nfgenmsg*>(NLMSG_DATA(&message))->nfgen_family;
    if (family != AF_INET && family != AF_INET6) return;
    Flow flow;
    flow.original = read_tuple(a.nested(CTA_TUPLE_ORIG), family);
    flow.reply = read_tuple(a.nested(CTA_TUPLE_REPLY), family);
    flow.id = a.u32(CTA_ID);
    flow.zone = be16(a, CTA_ZONE);
    flow.status = ntohl(a.u32(CTA_STATUS));
    Attributes info = a.nested(CTA_PROTOINFO);
    flow.tcp_state = flow.original.protocol == kSctp ? info.nested(CTA_PROTOINFO_SCTP).u8(CTA_PROTOINFO_SCTP_STATE)
                                                     : info.nested(CTA_PROTOINFO_TCP).u8(CTA_PROTOINFO_TCP_STATE);
    if (flow.original.source && flow.original.destination && flow.reply.source) each(flow);
  });
}

Message delete_flow(const Flow& flow) {
  Message m(message_type(IPCTNL_MSG_CT_DELETE), 0, "delete flow to " + flow.original.destination.to_string());
  m.header(nfgenmsg{static_cast<uint8_t>(flow.original.source.family()), NFNETLINK_V0, 0});
  put_tuple(m, CTA_TUPLE_ORIG, flow.original);
  if (flow.zone) m.put_u16(CTA_ZONE, htons(flow.zone));
  // The id makes sure that a new flow with the same addresses and ports is not hit.
  m.put_u32(CTA_ID, flow.id);
  m.tolerate({ENOENT});
  return m;
}

}  // namespace fairlead::kernel
