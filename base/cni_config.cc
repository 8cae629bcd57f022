#include "base/cni_config.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/names.h"

namespace fairlead::cni {
namespace {

constexpr size_t kMaxAttachments = 100000;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

tl::unexpected<CniError> invalid(std::string place, std::string_view expected) {
  return cni_fail(kInvalidConfig, "stdin: " + std::move(place) + ": expected " + std::string(expected));
}

CniResult<uint32_t> read_port(const Json& entry, std::string_view key, const std::string& place) {
  const Json* value = find_member(entry, key);
  if (!value) return 0u;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > 65535)
    return invalid(place + "/" + std::string(key), "a port from 0 to 65535");
  return value->get<uint32_t>();
}

CniResult<PortMap> read_port_map(const Json& entry, const std::string& place) {
  if (!entry.is_object()) return invalid(place, "an object {hostPort, containerPort, protocol, hostIP}");
  PortMap map;
  FL_TRY(map.host_port, read_port(entry, "hostPort", place));
  FL_TRY(map.container_port, read_port(entry, "containerPort", place));
  if (const Json* protocol = find_member(entry, "protocol")) {
    if (!protocol->is_string()) return invalid(place + "/protocol", "a string");
    std::string text = protocol->get<std::string>();
    std::transform(text.begin(), text.end(), text.begin(), lower);
    if (!text.empty()) map.protocol = text;
    if (map.protocol != "tcp" && map.protocol != "udp" && map.protocol != "sctp")
      return invalid(place + "/protocol", "tcp, udp or sctp, found \"" + text.substr(0, 32) + "\"");
  }
  if (const Json* ip = find_member(entry, "hostIP")) {
    if (!ip->is_string()) return invalid(place + "/hostIP", "an IP address");
    if (!ip->get_ref<const std::string&>().empty()) {
      auto address = Address::parse(ip->get_ref<const std::string&>());
      if (!address) return invalid(place + "/hostIP", "an IP address: " + address.error().message);
      if (!address->is_unspecified()) map.host_ip = *address;
    }
  }
  if (map.host_port != 0 && map.container_port == 0) return invalid(place + "/containerPort", "a port from 1 to 65535");
  return map;
}

bool conflict(const PortMap& a, const PortMap& b) {
  return a.protocol == b.protocol && a.host_port == b.host_port &&
         (!a.host_ip || !b.host_ip || *a.host_ip == *b.host_ip);
}

CniResult<std::vector<std::string>> read_strings(const Json& list, const std::string& place) {
  if (!list.is_array()) return invalid(place, "a list of strings");
  std::vector<std::string> values;
  for (const auto& item : list) {
    if (!item.is_string()) return invalid(place + "/" + std::to_string(values.size()), "a string");
    values.push_back(item.get<std::string>());
  }
  return values;
}

CniResult<std::vector<std::string>> member_strings(const Json& object, std::string_view key, const std::string& place) {
  const Json* list = find_member(object, key);
  if (!list) return std::vector<std::string>();
  return read_strings(*list, place + "/" + std::string(key));
}

// args.cni.KEY
const Json* cni_arg(const Request& request, std::string_view key) {
  const Json* args = find_member(*request.conf, "args");
  const Json* cni = args ? find_member(*args, "cni") : nullptr;
  return cni ? find_member(*cni, key) : nullptr;
}

CniResult<void> add_ips(const std::vector<std::string>& texts, const std::string& place, std::vector<Address>& to) {
  for (const auto& text : texts) {
    if (text.empty()) continue;
    auto prefix = Prefix::parse(text);
    if (!prefix) return cni_fail(kInvalidConfig, place + ": " + prefix.error().message);
    if (std::find(to.begin(), to.end(), prefix->address) == to.end()) to.push_back(prefix->address);
  }
  return {};
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    auto end = text.find(',');
    parts.emplace_back(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return parts;
}

}  // namespace

const Json* find_member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(std::string(key));
  if (it == object.end())
    for (it = object.begin(); it != object.end() && !equal_ignoring_case(it.key(), key);) ++it;
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

const Json* capability(const Request& request, std::string_view key) {
  const Json* runtime = find_member(*request.conf, "runtimeConfig");
  return runtime ? find_member(*runtime, key) : nullptr;
}

CniResult<std::vector<PortMap>> port_mappings(const Request& request) {
  std::vector<PortMap> maps;
  const Json* list = capability(request, "portMappings");
  if (!list) return maps;
  const std::string place = "/runtimeConfig/portMappings";
  if (!list->is_array()) return invalid(place, "a list of objects");
  for (size_t i = 0; i < list->size(); i++) {
    const std::string at = place + "/" + std::to_string(i);
    FL_TRY(PortMap map, read_port_map((*list)[i], at));
    if (map.host_port == 0) continue;  // CONVENTIONS: exposed, not published
    for (const auto& other : maps)
      if (conflict(map, other))
        return cni_fail(kInvalidConfig, "stdin: " + at + ": host port " + std::to_string(map.host_port) + "/" +
                                            map.protocol + " is wanted twice");
    maps.push_back(std::move(map));
  }
  return maps;
}

namespace {

constexpr uint64_t kMinRate = 8, kMaxRate = 1'000'000'000'000'000, kMaxBurst = uint64_t{UINT32_MAX} * 8;

CniResult<void> read_limit(const Json& limits, const char* direction, uint64_t& rate, uint64_t& burst) {
  const std::string place = "/runtimeConfig/bandwidth/" + std::string(direction);
  auto amount = [&](const char* what, uint64_t& value, uint64_t min, uint64_t max) -> CniResult<void> {
    const Json* found = find_member(limits, direction + std::string(what));
    if (!found) return {};
    if (found->is_number_unsigned()) value = found->get<uint64_t>();
    if (found->is_number_unsigned() && (value == 0 || (value >= min && value <= max))) return {};
    return invalid(place + what, "0 or a number of bits from " + std::to_string(min) + " to " + std::to_string(max) +
                                     ", found " + dump_json(*found).substr(0, 40));
  };
  FL_CHECK(amount("Rate", rate, kMinRate, kMaxRate));
  FL_CHECK(amount("Burst", burst, 8, kMaxBurst));
  if (rate != 0 && burst == 0) return invalid(place + "Burst", "a number of bits beside a rate");
  if (rate == 0 && burst != 0) return invalid(place + "Rate", "a number of bits per second beside a burst");
  return {};
}

}  // namespace

CniResult<Bandwidth> bandwidth(const Request& request) {
  Bandwidth limits;
  const Json* found = capability(request, "bandwidth");
  if (!found) return limits;
  if (!found->is_object())
    return invalid("/runtimeConfig/bandwidth", "an object {ingressRate, ingressBurst, egressRate, egressBurst}");
  FL_CHECK(read_limit(*found, "ingress", limits.ingress_rate, limits.ingress_burst));
  FL_CHECK(read_limit(*found, "egress", limits.egress_rate, limits.egress_burst));
  return limits;
}

CniResult<std::optional<Dns>> runtime_dns(const Request& request) {
  const Json* found = capability(request, "dns");
  if (!found) return std::nullopt;
  const std::string place = "/runtimeConfig/dns";
  if (!found->is_object()) return invalid(place, "an object {servers, searches, options}");
  Dns dns;
  FL_TRY(dns.nameservers, member_strings(*found, "servers", place));
  FL_TRY(dns.search, member_strings(*found, "searches", place));
  FL_TRY(dns.options, member_strings(*found, "options", place));
  return dns;
}

CniResult<Dns> conf_dns(const Request& request) {
  auto it = request.conf->find("dns");
  if (it == request.conf->end() || it->is_null()) return Dns{};
  auto dns = decode_dns(*it, "stdin: /dns");
  if (!dns) return cni_fail(kInvalidConfig, dns.error().message);
  return *dns;
}

CniResult<std::vector<std::string>> aliases(const Request& request, std::string_view network) {
  std::vector<std::string> found;
  const Json* value = capability(request, "aliases");
  std::string place = "/runtimeConfig/aliases";
  if (value && value->is_object()) {
    auto it = value->find(std::string(network));
    if (it == value->end()) it = value->find(request.name);
    value = it == value->end() || it->is_null() ? nullptr : &*it;
    place += "/" + std::string(network);
  }
  if (!value) return found;
  FL_TRY(auto names, read_strings(*value, place));
  for (auto& name : names) {
    if (!is_dns_name(name))
      return invalid(place, "DNS names (labels of 1 to 63 letters, digits, - _), found \"" + name.substr(0, 64) + "\"");
    if (std::find(found.begin(), found.end(), name) == found.end()) found.push_back(std::move(name));
  }
  return found;
}

CniResult<std::optional<Mac>> requested_mac(const Request& request) {
  std::string text, place = "stdin: /runtimeConfig/mac";
  if (const Json* mac = capability(request, "mac")) {
    if (!mac->is_string()) return invalid("/runtimeConfig/mac", "a string");
    text = mac->get<std::string>();
  } else if (const std::string* arg = request.arg("MAC")) {
    text = *arg;
    place = "CNI_ARGS: MAC";
  }
  if (text.empty()) return std::nullopt;
  auto mac = Mac::parse(text);
  if (!mac) return cni_fail(kInvalidConfig, place + ": " + mac.error().message);
  if (mac->is_multicast() || mac->is_zero())
    return cni_fail(kInvalidConfig, place + ": " + text + " is not a unicast MAC address");
  return *mac;
}

CniResult<std::vector<Address>> requested_ips(const Request& request) {
  std::vector<Address> ips;
  const Json* capable = capability(request, "ips");
  const Json* arg = cni_arg(request, "ips");
  if (capable) {
    FL_TRY(auto texts, read_strings(*capable, "/runtimeConfig/ips"));
    FL_CHECK(add_ips(texts, "stdin: /runtimeConfig/ips", ips));
  }
  if (arg) {
    FL_TRY(auto texts, read_strings(*arg, "/args/cni/ips"));
    FL_CHECK(add_ips(texts, "stdin: /args/cni/ips", ips));
  }
  // CONVENTIONS: CNI_ARGS counts only where nothing newer says the same.
  if (const std::string* old = request.arg("IP"); old && ips.empty())
    FL_CHECK(add_ips(split(*old), "CNI_ARGS: IP", ips));
  return ips;
}

CniResult<std::vector<std::pair<std::string, std::string>>> labels(const Request& request) {
  std::vector<std::pair<std::string, std::string>> found;
  auto add_members = [&found](const Json* object, std::string_view prefix) {
    if (!object || !object->is_object()) return;
    for (const auto& [key, text] : object->items())
      if (text.is_string() && key.starts_with(prefix)) found.emplace_back(key, text.get<std::string>());
  };
  // Pods carry annotations of every kind and size (kubectl's last applied manifest): only ours are labels.
  add_members(capability(request, "io.kubernetes.cri.pod-annotations"), "fairlead.");
  const Json* value = cni_arg(request, "labels");
  if (!value) return found;
  // Unknown data below args must never be an error (CONVENTIONS), so what is no label is passed over.
  add_members(value, "");
  if (!value->is_array()) return found;
  for (const auto& item : *value) {
    const Json* key = find_member(item, "key");
    const Json* text = find_member(item, "value");
    if (key && key->is_string() && text && text->is_string())
      found.emplace_back(key->get<std::string>(), text->get<std::string>());
  }
  return found;
}

CniResult<std::optional<std::vector<Attachment>>> valid_attachments(const Request& request) {
  std::string place = "/cni.dev~1valid-attachments";
  auto it = request.conf->find("cni.dev/valid-attachments");
  if (it == request.conf->end()) {
    place = "/cni.dev~1attachments";
    it = request.conf->find("cni.dev/attachments");
  }
  if (it == request.conf->end()) return std::nullopt;
  // Deleting by a list that was misread would take down what is in use: any doubt is an error. Go writes nil as null.
  std::vector<Attachment> list;
  if (it->is_null()) return list;
  if (!it->is_array() || it->size() > kMaxAttachments)
    return invalid(place, "a list of at most 100000 objects {containerID, ifname}");
  list.reserve(it->size());
  for (const auto& item : *it) {
    const std::string at = place + "/" + std::to_string(list.size());
    const Json* container = find_member(item, "containerID");
    const Json* ifname = find_member(item, "ifname");
    if (!container || !container->is_string() || !is_cni_id(container->get_ref<const std::string&>()))
      return invalid(at + "/containerID", "a container id");
    if (!ifname || !ifname->is_string() || !is_interface_name(ifname->get_ref<const std::string&>()))
      return invalid(at + "/ifname", "an interface name");
    list.push_back({container->get<std::string>(), ifname->get<std::string>()});
  }
  return list;
}

}  // namespace fairlead::cni
