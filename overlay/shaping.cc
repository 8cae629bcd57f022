#include "overlay/shaping.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "kernel/rtnl.h"
#include "overlay/names.h"

namespace fairlead::overlay {
namespace {

constexpr uint64_t kLatencyMs = 25;
constexpr uint64_t kFrameHeader = 14;  // a bucket counts it, an MTU does not

std::optional<kernel::TokenBucket> bucket_of(uint64_t rate_bits, uint64_t burst_bits, uint32_t mtu) {
  if (rate_bits == 0) return std::nullopt;
  kernel::TokenBucket bucket;
  bucket.rate = std::max<uint64_t>(rate_bits / 8, 1);
  auto clamp = [](uint64_t value) { return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX)); };
  bucket.burst = clamp(std::max<uint64_t>(burst_bits / 8, mtu + kFrameHeader));
  bucket.limit = clamp(bucket.rate / 1000 * kLatencyMs + bucket.burst);
  return bucket;
}

// The burst is in the limit, which the kernel tells back as it was given.
bool same(const std::optional<kernel::TokenBucket>& wanted, const std::optional<kernel::TokenBucket>& there) {
  return there && wanted->rate == there->rate && wanted->limit == there->limit;
}

}  // namespace

std::string ifb_of(const std::string& host_ifname) { return "b" + host_ifname.substr(1); }

Shaping shaping_of(const Endpoint& endpoint, uint32_t mtu) {
  const Bandwidth& b = endpoint.bandwidth;
  Shaping shaping;
  shaping.ifb = ifb_of(host_ifname(endpoint.network, endpoint.container, endpoint.ifname));
  shaping.mtu = mtu;
  shaping.into = bucket_of(b.ingress_rate, b.ingress_burst, mtu);
  shaping.out = bucket_of(b.egress_rate, b.egress_burst, mtu);
  return shaping;
}

kernel::Batch shaping_requests(const Shaping& shaping, uint32_t host_index, uint32_t ifb_index) {
  kernel::Batch batch;
  if (shaping.into) batch.push_back(kernel::set_token_bucket(host_index, *shaping.into));
  if (shaping.out) {
    // One of that name is left of an ADD that was killed or of a host end that went with its container.
    batch.push_back(kernel::delete_link(shaping.ifb));
    batch.push_back(kernel::add_ifb(ifb_index, shaping.ifb, shaping.mtu));
    batch.push_back(kernel::set_token_bucket(ifb_index, *shaping.out));
    batch.push_back(kernel::add_ingress(host_index));
    batch.push_back(kernel::redirect_ingress(host_index, ifb_index));
  }
  return batch;
}

Result<std::string> missing_shaping(kernel::NetlinkSocket& router, const Shaping& shaping, uint32_t host_index) {
  if (shaping.into) {
    FL_TRY(auto there, kernel::find_token_bucket(router, host_index));
    if (!same(shaping.into, there)) return std::string("the limit on what it receives");
  }
  if (shaping.out) {
    FL_TRY(auto ifb, kernel::find_link(router, shaping.ifb));
    if (!ifb || !ifb->up) return "the device " + shaping.ifb + " that limits what it sends";
    FL_TRY(auto there, kernel::find_token_bucket(router, ifb->index));
    if (!same(shaping.out, there)) return std::string("the limit on what it sends");
    FL_TRY(uint32_t to, kernel::find_redirect(router, host_index));
    if (to != ifb->index) return "the filter that leads what it sends to " + shaping.ifb;
  }
  return std::string();
}

Result<void> renew_shaping(kernel::NetlinkSocket& router, const Shaping& shaping, uint32_t host_index) {
  Result<void> last;
  for (int attempt = 0; attempt < 8; attempt++) {
    kernel::Batch batch = shaping_requests(shaping, host_index, draw_link_index(17 + 6 * attempt));
    if (shaping.out) batch.insert(batch.begin(), kernel::delete_ingress(host_index));
    last = router.run(std::move(batch));
    if (last || (last.error().sys != EEXIST && last.error().sys != EBUSY)) break;
  }
  return last;
}

Result<uint32_t> remove_stray_devices(kernel::NetlinkSocket& router) {
  FL_TRY(auto links, kernel::dump_links(router));
  kernel::Batch batch;
  for (const auto& link : links) {
    if (link.kind != "ifb" || link.name.empty() || link.name[0] != 'b') continue;
    FL_TRY(auto host_end, kernel::find_link(router, "c" + link.name.substr(1)));
    // By its number: the name may be another one's by now.
    if (!host_end) batch.push_back(kernel::delete_link(link.index, link.name));
  }
  auto count = static_cast<uint32_t>(batch.size());
  FL_CHECK(router.run(std::move(batch)));
  return count;
}

uint32_t draw_link_index(int bits) {
  uint32_t chance;
  while (::getrandom(&chance, sizeof chance, 0) != sizeof chance) {
  }
  uint32_t first = 1u << std::min(bits, 29);
  return first | (chance & (first - 1));
}

}  // namespace fairlead::overlay
