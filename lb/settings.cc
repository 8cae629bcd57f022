#include "lb/settings.h"

#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "kernel/ipvs.h"

namespace fairlead::lb {
namespace {

bool is_choice(const std::string& text) { return text == "ipvs" || text == "nft" || text == "auto"; }

Result<std::string> from_node_document(const std::string& path) {
  std::string wanted = "auto";
  FL_TRY(auto text, read_file(path));
  if (!text) return wanted;
  FL_TRY(Json json, parse_json(*text, path));
  ObjectReader r(json, path);
  r.optional("balancer", wanted);
  if (r.ok() && !is_choice(wanted))
    r.problem("balancer", "\"" + wanted.substr(0, 80) + "\": expected ipvs, nft or auto");
  FL_CHECK(r.finish());
  return wanted;
}

}  // namespace

Result<std::string> balancer_wanted(const std::vector<std::string>& arguments, const Paths& paths) {
  std::string wanted;
  const std::string option = "--balancer";
  for (size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == option && i + 1 < arguments.size())
      wanted = arguments[++i];
    else if (arguments[i].compare(0, option.size() + 1, option + "=") == 0)
      wanted = arguments[i].substr(option.size() + 1);
    else
      return fail("unknown argument \"" + arguments[i] + "\" (--help lists them)", EINVAL);
    if (!is_choice(wanted))
      return fail(option + " \"" + wanted.substr(0, 80) + "\": expected ipvs, nft or auto", EINVAL);
  }
  if (!wanted.empty()) return wanted;
  return from_node_document(paths.state + "/node.json");
}

Result<BalancerKind> choose_balancer(const std::string& wanted) {
  if (wanted == "nft") return BalancerKind::kNft;
  FL_TRY(auto ipvs, kernel::Ipvs::open());
  if (ipvs) return BalancerKind::kIpvs;
  if (wanted == "auto") return BalancerKind::kNft;
  return fail(
      "balancer ipvs: this kernel has no IPVS (module ip_vs); load it, or choose nft with --balancer or in node.json");
}

}  // namespace fairlead::lb
