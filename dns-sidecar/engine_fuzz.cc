// libFuzzer: the first byte chooses what the rest is — a query by UDP, a query by TCP, or a resolver's answer.
// Every answer given must itself be a message that can be read. Build with the preset `fuzz`; run fuzz/dns_engine_fuzz.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dns-sidecar/testing.h"
#include "dns-sidecar/upstream_message.h"

namespace fairlead::dns {
namespace {

std::shared_ptr<const Snapshot> make_snapshot() {
  ZoneBuilder builder;
  builder.set_network("net1", testing::network("net1", {"10.1.0.0/16", "fd01::/64"}));
  builder.set_network("a.b", testing::network("a.b", {"10.2.0.0/12"}, true));
  auto web = testing::service("net1", "web", {"10.1.255.1", "fd01::ffff:1"});
  web->ports = {{"tcp", 80, 8080, 0, "ingress"}};
  builder.set_service("net1", "web", web);
  for (int i = 0; i < 100; i++) {
    auto e = testing::endpoint("net1", "c" + std::to_string(i), {"10.1.0." + std::to_string(i + 1)},
                               {"rr-" + std::to_string(i)}, {"rr"});
    e->aliases = {"www.example.com"};
    testing::put(builder, e);
  }
  testing::put(builder, testing::endpoint("a.b", "c0", {"10.2.0.1"}, {"x"}));
  return builder.publish();
}

void require(bool condition) {
  if (!condition) abort();
}

void check_message(const uint8_t* data, size_t size) {
  require(size >= kHeaderBytes && (data[2] & 0x80));
  size_t at = kHeaderBytes;
  if (get16(data + 4) == 1) at = skip_name(data, size, at) + 4;
  unsigned records = get16(data + 6) + get16(data + 8) + get16(data + 10);
  for (; records > 0; records--) {
    Record record;
    require(read_record(data, size, at, record));
    at = record.end;
  }
  require(at == size);
}

void ask(const uint8_t* data, size_t size, bool tcp) {
  static const auto snapshot = make_snapshot();
  static Spread spread(1);
  static const std::string source = testing::key_of("10.1.0.1");
  static std::vector<uint8_t> out(kMaxTcpBytes);
  Query query;
  size_t capacity = tcp ? kMaxTcpBytes : kMaxUdpBytes;
  Decision d = decide(*snapshot, {0, source, tcp}, data, size, query, out.data(), capacity, spread);
  if (d.verdict == Verdict::kAnswer) {
    require(d.size <= capacity);
    check_message(out.data(), d.size);
  }
  if (d.verdict != Verdict::kForward) return;
  ForwardRequest request;
  fill_request(query, tcp, request);
  uint8_t upstream[kMaxUpstreamQuery];
  require(write_upstream_query(request, 7, upstream) <= sizeof upstream);
}

void judge(const uint8_t* data, size_t size) {
  static std::vector<uint8_t> out(kMaxTcpBytes);
  for (bool edns : {false, true}) {
    auto bytes = testing::ask("www.example.org", kTypeA, edns);
    Query query;
    require(parse_query(bytes.data(), bytes.size(), query) == Parsed::kOk);
    ForwardRequest request;
    fill_request(query, false, request);
    UpstreamAnswer answer;
    uint16_t id = size >= 2 ? get16(data) : 0;
    if (judge_answer(request, id, data, size, answer) != Judged::kGood) continue;
    size_t n = write_client_answer(answer, request, out.data());
    require(n <= request.limit);
    check_message(out.data(), n);
  }
}

}  // namespace
}  // namespace fairlead::dns

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // A copy of exactly this size: reading one byte too far is seen.
  std::vector<uint8_t> exact(data + 1, data + size);
  if (data[0] % 3 == 2)
    fairlead::dns::judge(exact.data(), exact.size());
  else
    fairlead::dns::ask(exact.data(), exact.size(), data[0] % 3 == 1);
  return 0;
}
