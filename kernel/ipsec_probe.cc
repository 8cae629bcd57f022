#include "kernel/ipsec_probe.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <cerrno>

#include "kernel/netns.h"
#include "kernel/xfrm.h"

namespace fairlead::kernel {
namespace {

constexpr const char* kAdvice =
    "; use a kernel with CONFIG_XFRM_USER, CONFIG_INET_ESP and CONFIG_CRYPTO_GCM (modules "
    "xfrm_user, esp4, gcm)";

// Documentation addresses (RFC 5737); nobody is sent anything.
StateSpec some_state() {
  StateSpec spec;
  spec.source = Address::v4(0xc0000201);
  spec.destination = Address::v4(0xc0000202);
  spec.spi = 0x57000000;
  return spec;
}

Result<std::string> probe_here() {
  FL_TRY(auto socket, open_xfrm());
  if (!socket) return std::string("this kernel has no IPsec") + kAdvice;
  Secret key(kAeadKeyBytes);
  if (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
    return fail_errno("read", "random numbers");
  const StateSpec spec = some_state();
  Policy policy;
  policy.direction = Direction::kOut;
  policy.source = {spec.source, 32};
  policy.destination = {spec.destination, 32};
  policy.port = 4790;
  policy.esp = Template{spec.source, spec.destination};
  Batch batch;
  batch.push_back(set_policy(policy));
  batch.push_back(add_state(spec, key));
  auto done = socket->run(std::move(batch));
  if (done) return "";
  // The kernel's answer to what it was not built for; anything else may be different next time.
  for (int sys : {ENOSYS, ENOPROTOOPT, EPROTONOSUPPORT, ENOENT, EOPNOTSUPP, EINVAL})
    if (done.error().sys == sys) return "this kernel cannot encrypt: " + done.error().message + kAdvice;
  return fail(done.error());
}

}  // namespace

Result<std::string> missing_for_ipsec() {
  FL_TRY(Fd apart, make_netns());
  std::string missing;
  FL_CHECK(in_netns(apart.get(), [&]() -> Result<void> {
    FL_TRY(missing, probe_here());
    return {};
  }));
  return missing;
}

}  // namespace fairlead::kernel
