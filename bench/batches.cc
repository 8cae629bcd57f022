// Programs COUNT routes or forwarding entries of the link vx in this network namespace through kernel/, as one batch or
// as one request each, and prints how many milliseconds that took. Driven by part_batches.py.
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernel/rtnl.h"
#include "kernel/vxlan.h"

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

Result<double> run(const std::string& kind, uint32_t count, bool one_batch) {
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
    std::fprintf(stderr, "usage: bench_batches routes|forwarding COUNT batch|each\n");
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
