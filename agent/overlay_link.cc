#include "agent/overlay_link.h"

#include <algorithm>
#include <cerrno>

#include "kernel/netns.h"
#include "kernel/vxlan.h"
#include "overlay/mesh_plan.h"

namespace fairlead::agent {
namespace {

// What comes up changes what the kernel holds; two rounds settle it, the third finds nothing.
constexpr int kRounds = 3;

Result<void> remove_device(const OverlayWork& work, const kernel::Link& link) {
  kernel::Batch batch;
  batch.push_back(kernel::delete_link(link.index, link.name));
  return work.inside.run(std::move(batch));
}

// The packets of a device whose address is not the host's would leave with an address nobody answers to.
Result<void> check_local(const OverlayWork& work, const Address& local) {
  FL_TRY(auto addresses, kernel::dump_addresses(work.host));
  for (const auto& a : addresses)
    if (a.prefix.address == local) return {};
  return fail(
      "this node's address " + local.to_string() + " is on no interface of this host; correct its document in nodes/",
      EADDRNOTAVAIL);
}

Result<kernel::Vxlan> ensure_device(const OverlayWork& work, kernel::VxlanSpec spec, Repairs* repairs) {
  FL_TRY(auto there, kernel::find_vxlan(work.inside, spec.name));
  if (there && overlay::same_device(spec, *there)) return *there;
  FL_CHECK(check_local(work, spec.local));
  if (there) FL_CHECK(remove_device(work, there->link));
  spec.netns = work.router;
  kernel::Batch batch;
  batch.push_back(kernel::add_vxlan(spec));
  FL_CHECK(work.host.run(std::move(batch)));
  if (repairs) repairs->add("overlay");
  FL_TRY(auto made, kernel::find_vxlan(work.inside, spec.name));
  if (!made) return fail("VXLAN device " + spec.name + " vanished as soon as it was made", ENODEV);
  return *made;
}

Result<void> remove_overlay(const OverlayWork& work) {
  FL_TRY(auto there, kernel::find_vxlan(work.inside, overlay::kOverlayLink));
  if (!there) return {};
  // Its rules, before it: who is killed in between finds the device again.
  FL_TRY(auto observed, overlay::observe(work.inside));
  kernel::Batch batch;
  for (auto& repair : overlay::mesh_difference({}, observed, there->link.index, {}))
    batch.push_back(std::move(repair.request));
  FL_CHECK(work.inside.run(std::move(batch)));
  return remove_device(work, there->link);
}

}  // namespace

Result<void> ensure_overlay(const OverlayWork& work, Repairs* repairs) {
  if (!work.mesh) return remove_overlay(work);
  if (!work.shield) {
    FL_CHECK(remove_overlay(work));
    return fail(work.shield.error().with("kept from the other nodes because it cannot be protected"));
  }
  const auto plan = overlay::plan_mesh(work.network, *work.mesh, work.mtu);
  FL_TRY(auto device, ensure_device(work, plan.device, repairs));
  FL_CHECK(kernel::in_netns(work.router, [&]() -> Result<void> {
    for (const auto& s : plan.sysctls) {
      FL_TRY(auto value, work.settings.read(s.key));
      if (value && *value != s.value) FL_CHECK(work.settings.write(s.key, s.value));
    }
    return {};
  }));
  Result<void> applied;
  for (int round = 0;; round++) {
    FL_TRY(auto observed, overlay::observe(work.inside));
    FL_TRY(auto forwarding, kernel::dump_forwarding(work.inside, device.link.index));
    auto missing = overlay::mesh_difference(plan, observed, device.link.index, forwarding);
    for (auto& repair : overlay::difference(plan.wanted, observed)) missing.push_back(std::move(repair));
    if (missing.empty()) return {};
    if (round == kRounds) return applied;
    kernel::Batch batch;
    for (auto& repair : missing) {
      if (repairs && round == 0) repairs->add(repair.kind);
      batch.push_back(std::move(repair.request));
    }
    applied = work.inside.run(std::move(batch));
  }
}

}  // namespace fairlead::agent
