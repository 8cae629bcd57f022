#include "kernel/xfrm.h"

#include <arpa/inet.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace fairlead::kernel {
namespace {

constexpr const char* kAead = "rfc4106(gcm(aes))";
constexpr unsigned kIcvBits = 128;
constexpr size_t kReplayWords = kReplayWindow / 32;  // bmp_len counts words of 32 bits, not bytes

std::string hex(uint32_t spi) {
  char text[16];
  snprintf(text, sizeof text, "0x%08x", spi);
  return text;
}

void fill(xfrm_address_t& to, const Address& from) { memcpy(&to, from.bytes(), from.size()); }

Address address_of(int family, const xfrm_address_t& from) { return Address::from_bytes(family, &from); }

xfrm_lifetime_cfg lifetime(const StateSpec& s) {
  auto limit = [](uint64_t value) { return value ? value : XFRM_INF; };
  return {limit(s.soft_bytes), limit(s.hard_bytes), limit(s.soft_packets), limit(s.hard_packets), 0, 0, 0, 0};
}

// UDP between two prefixes, to any port when port is 0.
xfrm_selector selector(const Prefix& source, const Prefix& destination, uint16_t port) {
  xfrm_selector s{};
  fill(s.saddr, source.address);
  fill(s.daddr, destination.address);
  s.prefixlen_s = static_cast<uint8_t>(source.length);
  s.prefixlen_d = static_cast<uint8_t>(destination.length);
  s.family = static_cast<uint16_t>(source.family());
  s.proto = IPPROTO_UDP;
  s.dport = htons(port);
  s.dport_mask = port ? 0xffff : 0;
  return s;
}

// Fixed and variable part of an attribute in one piece.
template <class Head>
void put_with_tail(Message& m, uint16_t type, const Head& head, const void* tail, size_t size) {
  std::array<uint8_t, 256> bytes;
  static_assert(sizeof(Head) + kReplayWords * 4 <= sizeof bytes && sizeof(Head) + kAeadKeyBytes <= sizeof bytes);
  memcpy(bytes.data(), &head, sizeof head);
  memcpy(bytes.data() + sizeof head, tail, size);
  m.put(type, bytes.data(), sizeof head + size);
  explicit_bzero(bytes.data(), sizeof bytes);
}

// The fixed part of an attribute; what follows (a key, a bitmap) is not copied.
template <class T>
bool leading(std::string_view bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  memcpy(&value, bytes.data(), sizeof value);
  return true;
}

template <class T>
const T* payload(const nlmsghdr& message) {
  return message.nlmsg_len >= NLMSG_LENGTH(sizeof(T)) ? static_cast<const T*>(NLMSG_DATA(&message)) : nullptr;
}

bool known_family(int family) { return family == AF_INET || family == AF_INET6; }

}  // namespace

const char* name_of(Direction direction) {
  return direction == Direction::kIn ? "in" : direction == Direction::kOut ? "out" : "fwd";
}

std::string Policy::to_string() const {
  return std::string(name_of(direction)) + " " + source.to_string() + " -> " + destination.to_string() + " udp " +
         std::to_string(port);
}

Result<std::optional<NetlinkSocket>> open_xfrm() {
  auto socket = NetlinkSocket::open(NETLINK_XFRM);
  if (!socket && (socket.error().sys == EPROTONOSUPPORT || socket.error().sys == EAFNOSUPPORT)) return std::nullopt;
  FL_TRY(auto opened, std::move(socket));
  return std::optional<NetlinkSocket>(std::move(opened));
}

Message add_state(const StateSpec& s, const Secret& key) {
  if (key.size() != kAeadKeyBytes) std::abort();  // a mistake in the program; never a shorter key
  Message m(
      XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL,
      "add security association " + hex(s.spi) + " from " + s.source.to_string() + " to " + s.destination.to_string());
  m.secret();
  xfrm_usersa_info info{};
  info.sel = selector({s.source, s.source.bits()}, {s.destination, s.destination.bits()}, 0);
  fill(info.id.daddr, s.destination);
  info.id.spi = htonl(s.spi);
  info.id.proto = IPPROTO_ESP;
  fill(info.saddr, s.source);
  info.lft = lifetime(s);
  info.reqid = s.request_id;
  info.family = static_cast<uint16_t>(s.source.family());
  info.mode = XFRM_MODE_TRANSPORT;
  info.flags = XFRM_STATE_ESN;
  m.header(info);
  xfrm_algo_aead aead{};
  strncpy(aead.alg_name, kAead, sizeof aead.alg_name - 1);
  aead.alg_key_len = kAeadKeyBytes * 8;
  aead.alg_icv_len = kIcvBits;
  put_with_tail(m, XFRMA_ALG_AEAD, aead, key.data(), key.size());
  xfrm_replay_state_esn replay{};
  replay.bmp_len = kReplayWords;
  replay.replay_window = kReplayWindow;
  const std::array<uint32_t, kReplayWords> bitmap{};
  put_with_tail(m, XFRMA_REPLAY_ESN_VAL, replay, bitmap.data(), sizeof bitmap);
  if (s.encapsulation) {
    xfrm_encap_tmpl encap{};
    encap.encap_type = UDP_ENCAP_ESPINUDP;
    encap.encap_sport = htons(s.encapsulation->source_port);
    encap.encap_dport = htons(s.encapsulation->destination_port);
    m.put(XFRMA_ENCAP, &encap, sizeof encap);
  }
  return m;
}

Message delete_state(const Address& destination, uint32_t spi) {
  Message m(XFRM_MSG_DELSA, 0, "delete security association " + hex(spi) + " to " + destination.to_string());
  xfrm_usersa_id id{};
  fill(id.daddr, destination);
  id.spi = htonl(spi);
  id.family = static_cast<uint16_t>(destination.family());
  id.proto = IPPROTO_ESP;
  m.header(id);
  m.tolerate({ESRCH});
  return m;
}

std::optional<State> state_of(const nlmsghdr& message) {
  const auto* info = payload<xfrm_usersa_info>(message);
  if ((message.nlmsg_type != XFRM_MSG_NEWSA && message.nlmsg_type != XFRM_MSG_UPDSA) || !info ||
      !known_family(info->family))
    return std::nullopt;
  State s;
  s.source = address_of(info->family, info->saddr);
  s.destination = address_of(info->family, info->id.daddr);
  s.spi = ntohl(info->id.spi);
  s.request_id = info->reqid;
  s.esp = info->id.proto == IPPROTO_ESP;
  s.transport = info->mode == XFRM_MODE_TRANSPORT;
  s.extended_sequence = info->flags & XFRM_STATE_ESN;
  s.replay_window = info->replay_window;
  s.packets = info->curlft.packets;
  s.bytes = info->curlft.bytes;
  s.added = info->curlft.add_time;
  s.replayed = info->stats.replay;
  s.late = info->stats.replay_window;
  s.not_authentic = info->stats.integrity_failed;
  Attributes a(message, sizeof *info);
  xfrm_algo_aead aead;
  if (leading(a.bytes(XFRMA_ALG_AEAD), aead))
    s.aes_gcm_256 = std::string_view(aead.alg_name, strnlen(aead.alg_name, sizeof aead.alg_name)) == kAead &&
                    aead.alg_key_len == kAeadKeyBytes * 8 && aead.alg_icv_len == kIcvBits;
  xfrm_replay_state_esn replay;
  xfrm_replay_state small;
  if (leading(a.bytes(XFRMA_REPLAY_ESN_VAL), replay)) {
    s.replay_window = replay.replay_window;
    s.sequence_out = static_cast<uint64_t>(replay.oseq_hi) << 32 | replay.oseq;
    s.sequence_in = static_cast<uint64_t>(replay.seq_hi) << 32 | replay.seq;
  } else if (leading(a.bytes(XFRMA_REPLAY_VAL), small)) {
    s.sequence_out = small.oseq;
    s.sequence_in = small.seq;
  }
  xfrm_encap_tmpl encap;
  if (leading(a.bytes(XFRMA_ENCAP), encap))
    s.encapsulation = Encapsulation{ntohs(encap.encap_sport), ntohs(encap.encap_dport)};
  return s;
}

Result<std::vector<State>> dump_states(NetlinkSocket& socket) {
  std::vector<State> states;
  // No header: the attributes of a dump request follow at once (xfrm_dump_sa, net/xfrm/xfrm_user.c).
  FL_CHECK(socket.dump(
      Message(XFRM_MSG_GETSA, 0, "list security associations"),
      [&](const nlmsghdr& message) {
        if (auto state = state_of(message)) states.push_back(*state);
      },
      [&] { states.clear(); }));
  return states;
}

Message set_policy(const Policy& p) {
  Message m(XFRM_MSG_UPDPOLICY, 0, "set IPsec policy " + p.to_string());
  xfrm_userpolicy_info info{};
  info.sel = selector(p.source, p.destination, p.port);
  info.lft = lifetime({});
  info.priority = p.priority;
  info.dir = static_cast<uint8_t>(p.direction);
  info.action = p.esp ? XFRM_POLICY_ALLOW : XFRM_POLICY_BLOCK;
  m.header(info);
  if (p.esp) {
    xfrm_user_tmpl t{};
    fill(t.id.daddr, p.esp->destination);
    t.id.spi = htonl(p.esp->spi);
    t.id.proto = IPPROTO_ESP;
    t.family = static_cast<uint16_t>(p.esp->source.family());
    fill(t.saddr, p.esp->source);
    t.reqid = p.esp->request_id;
    t.mode = XFRM_MODE_TRANSPORT;
    t.aalgos = t.ealgos = t.calgos = ~0U;
    m.put(XFRMA_TMPL, &t, sizeof t);
  }
  return m;
}

Message delete_policy(const Policy& p) {
  Message m(XFRM_MSG_DELPOLICY, 0, "delete IPsec policy " + p.to_string());
  xfrm_userpolicy_id id{};
  id.sel = selector(p.source, p.destination, p.port);
  id.dir = static_cast<uint8_t>(p.direction);
  m.header(id);
  m.tolerate({ENOENT});
  return m;
}

std::optional<Policy> policy_of(const nlmsghdr& message) {
  const auto* info = payload<xfrm_userpolicy_info>(message);
  if ((message.nlmsg_type != XFRM_MSG_NEWPOLICY && message.nlmsg_type != XFRM_MSG_UPDPOLICY) || !info)
    return std::nullopt;
  const xfrm_selector& s = info->sel;
  Attributes a(message, sizeof *info);
  if (!known_family(s.family) || s.proto != IPPROTO_UDP || s.dport_mask != 0xffff || s.sport_mask || s.ifindex ||
      info->dir > XFRM_POLICY_FWD || a.has(XFRMA_MARK) || a.has(XFRMA_IF_ID))
    return std::nullopt;
  Policy p;
  p.direction = static_cast<Direction>(info->dir);
  p.source = {address_of(s.family, s.saddr), s.prefixlen_s};
  p.destination = {address_of(s.family, s.daddr), s.prefixlen_d};
  p.port = ntohs(s.dport);
  p.priority = info->priority;
  if (info->action == XFRM_POLICY_BLOCK) return p;
  const std::string_view templates = a.bytes(XFRMA_TMPL);
  xfrm_user_tmpl t;
  if (!leading(templates, t) || templates.size() != sizeof t || t.id.proto != IPPROTO_ESP ||
      t.mode != XFRM_MODE_TRANSPORT || t.optional || !known_family(t.family))
    return std::nullopt;
  p.esp = Template{address_of(t.family, t.saddr), address_of(t.family, t.id.daddr), t.reqid, ntohl(t.id.spi)};
  return p;
}

Result<std::vector<Policy>> dump_policies(NetlinkSocket& socket) {
  std::vector<Policy> policies;
  FL_CHECK(socket.dump(
      Message(XFRM_MSG_GETPOLICY, 0, "list IPsec policies"),
      [&](const nlmsghdr& message) {
        if (auto policy = policy_of(message)) policies.push_back(*policy);
      },
      [&] { policies.clear(); }));
  return policies;
}

}  // namespace fairlead::kernel
