// Programs COUNT routes or forwarding entries of the link vx in this network namespace through kernel/, as one batch or
// as one request each, and prints how many milliseconds that took. Driven by part_batches.py. "associations": what a
// rotation of COUNT peers in three epochs is, security associations in both directions and a policy each; needs a
// kernel with ESP (conformance/vm/run-in-vm -- build/bench/bench_batches associations 100 batch).
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernel/rtnl.h"
#include "kernel/vxlan.h"
#include "kernel/xfrm.h"

using namespace fairlead;

namespace {

Address number_address(uint32_t base, uint32_t number) { return Address::v4(base + number); }

kernel::Message request(const std::string& kind, uint32_t index, uint32_t number) {
  if (kind == "routes") {
    kernel::Route route;
    route.destination = Prefix{number_address(0x0a200000, number), 32};
    route.gateway = number_address(0xa9fe8000, 1 + number % 100);
    route.index = index;
    route.onlink = true;
    return kernel::set_route(route);
  }
  Mac mac{{2, 0x57, 1, 0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)}};
  return kernel::set_forwarding(index, {mac, number_address(0xc0000200, number % 250 + 1)});
}

// Three epochs: in and out, and the policy pinned to the third.
kernel::Batch associations(uint32_t peers) {
  kernel::Batch batch;
  const Address self = Address::v4(0xc0000201);
  Secret key(kernel::kAeadKeyBytes);
  for (uint32_t number = 0; number < peers * 3; number++) {
    const Address peer = number_address(0xc6336401, number % peers);
    key.data()[0] = static_cast<uint8_t>(number);
    key.data()[1] = static_cast<uint8_t>(number >> 8);
    kernel::StateSpec in, out;
    in.source = out.destination = peer;
    in.destination = out.source = self;
    in.spi = 0x57000000 + number;
    out.spi = 0x58000000 + number;
    batch.push_back(kernel::add_state(in, key));
    batch.push_back(kernel::add_state(out, key));
    if (number < peers * 2) continue;
    kernel::Policy policy;
    policy.source = {self, self.bits()};
    policy.destination = {peer, peer.bits()};
    policy.port = 4790;
    policy.priority = 100;
    policy.esp = kernel::Template{self, peer, kernel::kRequestId, out.spi};
    batch.push_back(kernel::set_policy(policy));
  }
  return batch;
}

Result<double> run_associations(uint32_t peers, bool one_batch) {
  FL_TRY(auto socket, kernel::open_xfrm());
  if (!socket) return fail("this kernel has no IPsec");
  const auto start = std::chrono::steady_clock::now();
  kernel::Batch batch = associations(peers);
  if (one_batch) {
    FL_CHECK(socket->run(std::move(batch)));
  } else {
    for (auto& message : batch) {
      kernel::Batch one;
      one.push_back(std::move(message));
      FL_CHECK(socket->run(std::move(one)));
    }
  }
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Result<double> run(const std::string& kind, uint32_t count, bool one_batch) {
  if (kind == "associations") return run_associations(count, one_batch);
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto link, kernel::find_link(socket, "vx"));
  if (!link) return fail("there is no link vx here");
  const auto start = std::chrono::steady_clock::now();
  kernel::Batch batch;
  for (uint32_t number = 0; number < count; number++) {
    batch.push_back(request(kind, link->index, number));
    if (one_batch) continue;
    FL_CHECK(socket.run(std::move(batch)));
    batch.clear();
  }
  if (one_batch) FL_CHECK(socket.run(std::move(batch)));
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_batches routes|forwarding|associations COUNT batch|each\n");
    return 2;
  }
  auto took = run(argv[1], static_cast<uint32_t>(std::atoi(argv[2])), std::string(argv[3]) == "batch");
  if (!took) {
    std::fprintf(stderr, "bench_batches: %s\n", took.error().message.c_str());
    return 1;
  }
  std::printf("%.3f\n", *took);
  return 0;
}
