// For unit tests only: small zones, queries and answers as text.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "dns-sidecar/engine.h"
#include "dns-sidecar/zone_builder.h"

namespace fairlead::dns::testing {

using Bytes = std::vector<uint8_t>;

inline Address addr(const std::string& text) { return Address::parse(text).value(); }
inline std::string key_of(const std::string& text) {
  Address a = addr(text);
  return {reinterpret_cast<const char*>(a.bytes()), a.size()};
}

inline std::shared_ptr<Network> network(const std::string& name, const std::vector<std::string>& subnets,
                                        bool internal = false) {
  auto n = std::make_shared<Network>();
  n->name = name;
  n->vni = 1;
  n->internal = internal;
  for (const auto& s : subnets) n->subnets.push_back(Prefix::parse(s).value());
  return n;
}

inline std::shared_ptr<Endpoint> endpoint(const std::string& net, const std::string& container,
                                          const std::vector<std::string>& addresses,
                                          std::vector<std::string> names = {}, std::vector<std::string> services = {}) {
  auto e = std::make_shared<Endpoint>();
  e->network = net;
  e->container = container;
  e->ifname = "eth0";
  for (const auto& a : addresses) e->addresses.push_back(addr(a));
  e->names = std::move(names);
  e->services = std::move(services);
  return e;
}

inline std::shared_ptr<Service> service(const std::string& net, const std::string& name,
                                        const std::vector<std::string>& vips) {
  auto s = std::make_shared<Service>();
  s->network = net;
  s->name = name;
  s->endpoint_mode = vips.empty() ? "dnsrr" : "vip";
  for (const auto& v : vips) s->vips.push_back(addr(v));
  return s;
}

inline void put(ZoneBuilder& builder, const std::shared_ptr<Endpoint>& e) {
  builder.set_endpoint(e->network, e->key(), e);
}

inline Bytes ask(const std::string& name, uint16_t type, bool edns = false, uint16_t flags = kFlagRd) {
  Bytes q{0x12, 0x34, static_cast<uint8_t>(flags >> 8), static_cast<uint8_t>(flags), 0, 1, 0, 0, 0,
          0,    0,    static_cast<uint8_t>(edns)};
  for (size_t at = 0; at < name.size();) {
    size_t dot = std::min(name.find('.', at), name.size());
    q.push_back(static_cast<uint8_t>(dot - at));
    q.insert(q.end(), name.begin() + static_cast<long>(at), name.begin() + static_cast<long>(dot));
    at = dot + 1;
  }
  for (int b : {0, type >> 8, type & 255, 0, 1}) q.push_back(static_cast<uint8_t>(b));
  if (edns)
    for (int b : {0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0}) q.push_back(static_cast<uint8_t>(b));
  return q;
}

struct Answer {
  Decision decision;
  Bytes bytes;
  unsigned rcode = 99;
  bool tc = false, aa = false;
  std::vector<std::string> answers;  // addresses, names, or "TYPE<n>"
  unsigned authority = 0, additional = 0;
};

inline std::string read_name(const Bytes& m, size_t at) {
  std::string text;
  for (int jumps = 0; jumps < 20 && at < m.size() && m[at];) {
    if (m[at] >= 0xc0) {
      at = static_cast<size_t>((m[at] & 0x3f) << 8 | m[at + 1]);
      jumps++;
      continue;
    }
    text += (text.empty() ? "" : ".") +
            std::string(m.begin() + static_cast<long>(at) + 1, m.begin() + static_cast<long>(at) + 1 + m[at]);
    at += 1u + m[at];
  }
  return text;
}

// Reads the whole message; a broken one fails the test.
inline void read_answer(Answer& a) {
  const Bytes& m = a.bytes;
  ASSERT_GE(m.size(), kHeaderBytes);
  a.rcode = m[3] & 15;
  a.tc = m[2] & 2;
  a.aa = m[2] & 4;
  EXPECT_TRUE(m[2] & 0x80);
  size_t at = kHeaderBytes;
  if (get16(&m[4])) at = skip_name(m.data(), m.size(), at) + 4;
  a.authority = get16(&m[8]);
  a.additional = get16(&m[10]);
  unsigned answers = get16(&m[6]), total = answers + a.authority + a.additional;
  for (unsigned i = 0; i < total; i++) {
    Record r;
    ASSERT_TRUE(read_record(m.data(), m.size(), at, r)) << "record " << i;
    at = r.end;
    if (i >= answers) continue;
    // Others' records are passed on as they are: one may be too short for its type.
    const size_t wanted = r.type == kTypeA ? 4 : r.type == kTypeAaaa ? 16 : r.type == kTypeSrv ? 7 : 0;
    if (r.end - r.data < wanted)
      a.answers.push_back("short");
    else if (r.type == kTypeA || r.type == kTypeAaaa)
      a.answers.push_back(Address::from_bytes(r.type == kTypeA ? 2 : 10, &m[r.data]).to_string());
    else if (r.type == kTypePtr || r.type == kTypeNs)
      a.answers.push_back(read_name(m, r.data));
    else if (r.type == kTypeSrv)
      a.answers.push_back(std::to_string(get16(&m[r.data + 4])) + " " + read_name(m, r.data + 6));
    else
      a.answers.push_back("TYPE" + std::to_string(r.type));
  }
  EXPECT_EQ(at, m.size());
}

inline Answer decide(const Snapshot& snapshot, uint32_t slot, const std::string& source, const Bytes& q,
                     bool tcp = false, uint64_t seed = 7) {
  Answer a;
  static Spread spread(seed);
  Bytes out(kMaxTcpBytes + 16, 0xee);
  Query query;
  std::string key = key_of(source);
  Bytes exact(q);  // its own allocation, so that a sanitizer sees one byte too far
  a.decision =
      dns::decide(snapshot, {slot, key, tcp}, exact.data(), exact.size(), query, out.data(), kMaxTcpBytes, spread);
  if (a.decision.verdict != Verdict::kAnswer) return a;
  a.bytes.assign(out.begin(), out.begin() + static_cast<long>(a.decision.size));
  read_answer(a);
  std::sort(a.answers.begin(), a.answers.end());
  return a;
}

}  // namespace fairlead::dns::testing
