#include "cluster/join_hello.h"

#include <cerrno>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "cluster/channel.h"
#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

// Certificates are backdated by an hour at most: a clock that is further behind would not take its own.
constexpr int64_t kMaxSkew = 3600;
constexpr std::string_view kPurpose = "fairlead manager of this connection:";

}  // namespace

Result<Json> make_hello(const Authority& authority, const std::string& cluster, const std::string& binding,
                        int64_t now) {
  FL_TRY(std::string signature, sign(authority.key, std::string(kPurpose) + binding));
  return Json{
      {"root", authority.certificate}, {"cluster", cluster}, {"signature", to_base64(signature)}, {"time", now}};
}

Result<void> check_hello(const Json& hello, const Token& token, const std::string& binding, int64_t now) {
  const std::string root = text_at(hello, "root");
  auto digest = certificate_digest(root);
  if (!digest || *digest != token.root_digest)
    return fail("the manager there belongs to another cluster than the token", EACCES);
  auto signature = from_base64(text_at(hello, "signature"));
  auto good = verify_signature(root, std::string(kPurpose) + binding, signature.value_or(""));
  if (!good || !*good) return fail("who answers there does not have the authority's key and is no manager", EACCES);
  const int64_t skew = now - time_at(hello, "time");
  if (std::llabs(skew) > kMaxSkew)
    return fail("this machine's clock is " + std::to_string(std::llabs(skew) / 60) + " minutes " +
                    (skew > 0 ? "ahead of" : "behind") + " the manager's; set it right and join again",
                EINVAL);
  return {};
}

}  // namespace fairlead::cluster
