#include "ipam/config.h"

#include <sys/socket.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/cni_config.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/names.h"
#include "ipam/blocks.h"
#include "ipam/ipam.h"
#include "ipam/resolv_conf.h"
#include "ipam/sticky.h"
#include "state/store.h"

namespace fairlead::ipam {
namespace {

using cni::cni_fail;
using cni::CniResult;

constexpr size_t kMaxResolvConf = 1 << 16;

tl::unexpected<cni::CniError> invalid(std::string text) {
  return cni_fail(cni::kInvalidConfig, "stdin: " + std::move(text));
}

CniResult<std::optional<Address>> read_address(const Json& object, const char* key, const std::string& place) {
  const Json* value = cni::find_member(object, key);
  if (!value) return std::nullopt;
  if (!value->is_string()) return invalid(place + "/" + key + ": expected an IP address");
  if (value->get_ref<const std::string&>().empty()) return std::nullopt;
  auto address = Address::parse(value->get_ref<const std::string&>());
  if (!address) return invalid(place + "/" + key + ": " + address.error().message);
  return *address;
}

CniResult<Range> read_range(const Json& object, const std::string& place) {
  const Json* subnet = cni::find_member(object, "subnet");
  if (!subnet || !subnet->is_string()) return invalid(place + "/subnet: expected a subnet, e.g. \"10.1.0.0/24\"");
  auto prefix = Prefix::parse(subnet->get_ref<const std::string&>());
  if (!prefix) return invalid(place + "/subnet: " + prefix.error().message);
  FL_TRY(auto start, read_address(object, "rangeStart", place));
  FL_TRY(auto end, read_address(object, "rangeEnd", place));
  FL_TRY(auto gateway, read_address(object, "gateway", place));
  auto range = make_range(*prefix, start, end, gateway);
  if (!range) return invalid(place + ": " + range.error().message);
  return *range;
}

CniResult<void> read_sets(const Json& lists, const std::string& place, std::vector<RangeSet>& sets) {
  if (!lists.is_array() || lists.size() > 64) return invalid(place + ": expected a list of at most 64 lists of ranges");
  for (const auto& list : lists) {
    const std::string at = place + "/" + std::to_string(sets.size());
    if (!list.is_array() || list.empty() || list.size() > 256)
      return invalid(at + ": expected a list of 1 to 256 ranges {subnet, rangeStart, rangeEnd, gateway}");
    RangeSet set;
    for (const auto& item : list) {
      FL_TRY(auto range, read_range(item, at + "/" + std::to_string(set.ranges.size())));
      set.ranges.push_back(range);
    }
    sets.push_back(std::move(set));
  }
  return {};
}

CniResult<std::vector<cni::RouteConfig>> read_routes(const Json& ipam) {
  std::vector<cni::RouteConfig> routes;
  const Json* list = cni::find_member(ipam, "routes");
  if (!list) return routes;
  // The shape of a result's routes is the same, attributes included.
  Json result{{"cniVersion", cni::kNewestVersion}, {"routes", *list}};
  auto decoded = cni::decode_result(result, cni::kNewestVersion, "stdin: /ipam");
  if (!decoded) return cni_fail(cni::kInvalidConfig, decoded.error().msg);
  return decoded->routes;
}

CniResult<void> read_resolv_conf(const Json& ipam, IpamConfig& config) {
  const Json* path = cni::find_member(ipam, "resolvConf");
  if (!path) return {};
  if (!path->is_string()) return invalid("/ipam/resolvConf: expected the path of a file like /etc/resolv.conf");
  const auto& name = path->get_ref<const std::string&>();
  if (name.empty()) return {};
  auto text = read_file(name, kMaxResolvConf);
  if (!text) return invalid("/ipam/resolvConf: " + text.error().message);
  if (!*text) return invalid("/ipam/resolvConf: there is no file " + name);
  config.dns = parse_resolv_conf(**text);
  return {};
}

CniResult<bool> read_switch(const Json* value, const std::string& place) {
  if (!value) return false;
  if (value->is_boolean()) return value->get<bool>();
  const std::string text = value->is_string() ? value->get<std::string>() : "?";
  if (text == "1" || text == "true") return true;
  if (text == "0" || text == "false" || text.empty()) return false;
  return cni_fail(cni::kInvalidConfig, place + ": expected true or false, found \"" + text.substr(0, 32) + "\"");
}

CniResult<void> read_sticky(const cni::Request& request, const Json& ipam, IpamConfig& config) {
  FL_TRY(config.sticky, read_switch(cni::find_member(ipam, "sticky"), "stdin: /ipam/sticky"));
  if (const auto* arg = request.arg("FAIRLEAD_STICKY")) {
    Json value = *arg;
    FL_TRY(config.sticky, read_switch(&value, "CNI_ARGS: FAIRLEAD_STICKY"));
  }
  FL_TRY(auto labels, cni::labels(request));
  for (const auto& [key, text] : labels) {
    if (key != "fairlead.sticky") continue;
    Json value = text;
    FL_TRY(config.sticky, read_switch(&value, "label fairlead.sticky"));
  }
  config.sticky_ms = kStickyMs;
  if (const Json* value = cni::find_member(ipam, "stickyFor")) {
    auto duration = value->is_string() ? parse_duration(value->get<std::string>()) : std::nullopt;
    if (!duration) return invalid("/ipam/stickyFor: expected a duration like \"24h\"");
    config.sticky_ms = *duration;
  }
  return {};
}

CniResult<void> use_network(const Paths& paths, const Network* network, IpamConfig& config) {
  std::optional<Network> loaded;
  if (!network) {
    if (auto bad = check_object_name("network", config.network); !bad) return invalid("/name: " + bad.error().message);
    auto found = load_network(paths, config.network);
    if (!found) return fail(cni::CniError(cni::kInvalidConfig, found.error().message));
    if (!*found)
      return invalid("/ipam: has neither ranges nor subnet, and there is no network " + config.network + " (" +
                     paths.network(config.network) + "); create it with fairleadctl network create");
    loaded = std::move(*found);
    network = &*loaded;
  }
  config.sets = range_sets(*network);
  if (config.sets.empty()) return invalid("/ipam: network " + network->name + " has no subnet to give addresses from");
  if (network->internal || !config.routes.empty()) return {};
  for (const auto& set : config.sets) {
    bool v4 = set.family() == AF_INET;
    uint8_t zero[16] = {};
    cni::RouteConfig route;
    route.destination = Prefix{Address::from_bytes(v4 ? AF_INET : AF_INET6, zero), 0};
    route.gateway = set.ranges.front().gateway;
    config.routes.push_back(route);
  }
  return {};
}

// Why the cluster has given none, as fairlead-agent knows it.
std::string reason(const Paths& paths, const std::string& network) {
  std::string text = trouble_of(paths, network);
  if (!text.empty()) return text;
  return "fairlead-agent claims one of the managers; see whether it runs and reaches them with: "
         "fairleadctl cluster status";
}

// A network with blocks gives only what this node's blocks hold, whoever asks and with whatever ranges.
CniResult<void> use_blocks(const Paths& paths, const Network* network, IpamConfig& config) {
  config.blocks = blocks_state(paths, config.network);
  FL_TRY(auto own, own_blocks(paths, config.network, network));
  if (!own) return {};
  config.node = own->node;
  config.claimed = own->claimed;
  std::vector<RangeSet> whole = config.sets;
  restrict_to(config.sets, own->blocks);
  for (size_t i = 0; i < config.sets.size(); i++) {
    if (!config.sets[i].ranges.empty()) continue;
    if (!own->claimed)
      return cni_fail(cni::kTryAgainLater,
                      "network " + config.network + ": node " + own->node + " has no block of " +
                          whole[i].ranges.front().subnet.to_string() + " to give addresses from",
                      "the blocks of this network are in " + paths.blocks(config.network));
    return cni_fail(cni::kTryAgainLater, "network " + config.network + ": node " + own->node + " has no block of " +
                                             whole[i].ranges.front().subnet.to_string() +
                                             " yet: " + reason(paths, config.network));
  }
  return {};
}

// ipRanges (CONVENTIONS) has the syntax of ranges. host-local adds it to its own ranges; a network with a subnet of its
// own allows parts of that subnet only, because every other address would be unreachable.
CniResult<void> narrow(const Json& lists, IpamConfig& config) {
  std::vector<RangeSet> asked;
  FL_CHECK(read_sets(lists, "/runtimeConfig/ipRanges", asked));
  for (auto& set : asked) {
    RangeSet* own = nullptr;
    for (auto& candidate : config.sets)
      if (candidate.family() == set.family()) own = &candidate;
    for (auto& range : set.ranges) {
      if (!own || !own->ranges.front().subnet.contains(range.subnet))
        return invalid("/runtimeConfig/ipRanges: " + range.subnet.to_string() + " is not part of network " +
                       config.network);
      range.subnet = own->ranges.front().subnet;
      range.gateway = own->ranges.front().gateway;
    }
    own->ranges = set.ranges;
  }
  return {};
}

}  // namespace

std::string network_name(const cni::Request& request) {
  auto it = request.conf->find("network");
  return it != request.conf->end() && it->is_string() && is_object_name(it->get_ref<const std::string&>())
             ? it->get<std::string>()
             : request.name;
}

std::vector<std::string> names_of(const cni::Request& request) {
  std::vector<std::string> names;
  auto add = [&](const std::string& name) {
    if (is_dns_name(name) && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  if (const auto* name = request.arg("FAIRLEAD_NAME")) add(*name);
  if (const auto* pod = request.arg("K8S_POD_NAME")) {
    add(*pod);
    const auto* space = request.arg("K8S_POD_NAMESPACE");
    if (space && !space->empty()) add(*pod + "." + *space);
  }
  if (auto labels = cni::labels(request))
    for (const auto& [key, value] : *labels)
      if (key == "fairlead.name") add(value);
  return names;
}

std::vector<RangeSet> range_sets(const Network& network) {
  std::vector<RangeSet> sets;
  for (const auto& subnet : network.subnets) {
    RangeSet set;
    auto range = make_range(subnet, {}, {}, network.gateway(subnet.family()));
    if (!range) continue;
    set.ranges.push_back(*range);
    if (auto pool = network.vip_pool(subnet.family())) set.excluded.push_back(*pool);
    sets.push_back(std::move(set));
  }
  return sets;
}

CniResult<IpamConfig> read_config(const Paths& paths, const cni::Request& request, const Network* network) {
  IpamConfig config;
  config.network = network_name(request);
  FL_TRY(config.wanted, cni::requested_ips(request));
  auto found = request.conf->find("ipam");
  const Json empty = Json::object();
  const Json& ipam = found == request.conf->end() ? empty : *found;
  if (!ipam.is_object()) return invalid("/ipam: expected an object");
  FL_TRY(config.routes, read_routes(ipam));
  FL_CHECK(read_resolv_conf(ipam, config));
  FL_CHECK(read_sticky(request, ipam, config));
  const Json* ranges = cni::find_member(ipam, "ranges");
  const Json* asked = cni::capability(request, "ipRanges");
  bool has_own = cni::find_member(ipam, "subnet") || (ranges && !ranges->empty());
  if (!has_own && (network || !asked)) {
    FL_CHECK(use_network(paths, network, config));
    if (asked) FL_CHECK(narrow(*asked, config));
  } else {
    if (asked) FL_CHECK(read_sets(*asked, "/runtimeConfig/ipRanges", config.sets));
    if (cni::find_member(ipam, "subnet")) {
      FL_TRY(auto range, read_range(ipam, "/ipam"));
      config.sets.push_back(RangeSet{{range}, {}});
    }
    if (ranges) FL_CHECK(read_sets(*ranges, "/ipam/ranges", config.sets));
  }
  if (auto checked = check_range_sets(config.sets); !checked) return invalid("/ipam: " + checked.error().message);
  // Versions before 0.3.0 have room for one address of each family.
  if (!cni::version_at_least(request.version, "0.3.0"))
    for (size_t i = 0; i < config.sets.size(); i++)
      for (size_t j = 0; j < i; j++)
        if (config.sets[i].family() == config.sets[j].family())
          return invalid("/ipam: cniVersion " + request.version + " allows one address per family only");
  FL_CHECK(use_blocks(paths, network, config));
  return config;
}

}  // namespace fairlead::ipam
