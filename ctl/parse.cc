#include "ctl/parse.h"

#include <charconv>

#include "base/duration.h"

namespace fairlead::ctl {
namespace {

std::optional<uint32_t> number(std::string_view text, uint32_t min, uint32_t max) {
  uint32_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < min || value > max) return std::nullopt;
  return value;
}

// Cuts "/PROTOCOL" off the end. nullopt: something else stands there.
std::optional<std::string> take_protocol(std::string_view& text) {
  size_t slash = text.find('/');
  if (slash == text.npos) return "tcp";
  std::string protocol(text.substr(slash + 1));
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") return std::nullopt;
  text = text.substr(0, slash);
  return protocol;
}

}  // namespace

Result<ServicePort> parse_port(const std::string& text) {
  const auto bad = [&] {
    return fail("--port " + text + ": expected [NAME=]PORT[:TARGET][/tcp|udp|sctp] like 80:8080/tcp or http=80:8080");
  };
  std::string_view rest = text;
  size_t equals = rest.find('=');
  if (equals == 0) return bad();
  if (equals != rest.npos) rest = rest.substr(equals + 1);
  auto protocol = take_protocol(rest);
  if (!protocol) return bad();
  size_t colon = rest.find(':');
  auto port = number(rest.substr(0, colon), 1, 65535);
  auto target = colon == rest.npos ? port : number(rest.substr(colon + 1), 1, 65535);
  if (!port || !target) return bad();
  ServicePort out;
  if (equals != text.npos) out.name = text.substr(0, equals);
  out.protocol = *protocol;
  out.port = *port;
  out.target = *target;
  return out;
}

Result<Publication> parse_publication(const std::string& text) {
  const auto bad = [&] {
    return fail("--publish " + text + ": expected PUBLISHED:TARGET[/tcp|udp|sctp] like 8000:8080/tcp");
  };
  std::string_view rest = text;
  auto protocol = take_protocol(rest);
  size_t colon = rest.find(':');
  if (!protocol || colon == rest.npos) return bad();
  auto published = number(rest.substr(0, colon), 1, 65535);
  auto target = number(rest.substr(colon + 1), 1, 65535);
  if (!published || !target) return bad();
  return Publication{*published, *target, *protocol};
}

Result<HealthCheck> parse_health(const std::string& text) {
  const auto bad = [&] { return fail("--health " + text + ": expected tcp[:PORT] or http[:PORT][/PATH], or none"); };
  HealthCheck check;
  size_t end = text.find_first_of(":/");
  check.type = text.substr(0, end);
  if (check.type != "tcp" && check.type != "http") return bad();
  std::string rest = end == text.npos ? "" : text.substr(end);
  size_t slash = rest.find('/');
  if (slash != rest.npos) {
    if (check.type == "tcp") return bad();
    check.path = rest.substr(slash);
    rest.resize(slash);
  }
  if (rest.empty()) return check;
  auto port = number(std::string_view(rest).substr(1), 1, 65535);
  if (!port) return bad();
  check.port = *port;
  return check;
}

Result<std::pair<std::string, uint32_t>> parse_weight(const std::string& text) {
  size_t equals = text.rfind('=');
  auto weight = equals == text.npos ? std::nullopt : number(std::string_view(text).substr(equals + 1), 0, 65535);
  if (!weight || equals == 0)
    return fail("--weight " + text + ": expected NAME=N, an endpoint's name or address and a number from 0 to 65535");
  return std::pair(text.substr(0, equals), *weight);
}

Result<uint32_t> parse_option_duration(const std::string& option, const std::string& text, uint32_t min, uint32_t max) {
  auto ms = parse_duration(text);
  if (!ms || *ms < min || *ms > max)
    return fail(option + " " + text + ": expected a duration from " + duration_text(min) + " to " + duration_text(max) +
                " like 500ms or 10s");
  return *ms;
}

Result<std::vector<Prefix>> parse_subnets(const std::vector<std::string>& texts) {
  std::vector<Prefix> subnets;
  for (const auto& text : texts) {
    auto subnet = Prefix::parse(text);
    if (!subnet || text.find('/') == text.npos)
      return fail("--subnet " + text + ": expected a subnet like 10.32.0.0/16 or fd32::/64");
    if (subnet->has_host_bits())
      return fail("--subnet " + text + " has host bits set; did you mean " + subnet->first().to_string() + "/" +
                  std::to_string(subnet->length) + "?");
    for (const auto& other : subnets)
      if (other.family() == subnet->family())
        return fail("--subnet " + text + ": a network has one subnet per address family, and " + other.to_string() +
                    " is there already; make a larger one or a second network");
    subnets.push_back(*subnet);
  }
  return subnets;
}

Result<std::vector<Address>> parse_addresses(const std::string& option, const std::vector<std::string>& texts) {
  std::vector<Address> addresses;
  for (const auto& text : texts) {
    auto address = Address::parse(text);
    if (!address) return fail(option + " " + text + ": expected an IPv4 or IPv6 address");
    for (const auto& other : addresses)
      if (other.family() == address->family())
        return fail(option + " " + text + ": one address per address family, and " + other.to_string() +
                    " was given already");
    addresses.push_back(*address);
  }
  return addresses;
}

Result<std::vector<Address>> parse_vips(const std::vector<std::string>& texts) {
  std::vector<Address> vips;
  for (const auto& text : texts) {
    auto vip = Address::parse(text);
    if (!vip) return fail("--vip " + text + ": expected an IPv4 or IPv6 address");
    for (const auto& other : vips)
      if (other.family() == vip->family())
        return fail("--vip " + text + ": a service has one VIP per address family, and " + other.to_string() +
                    " was given already");
    vips.push_back(*vip);
  }
  return vips;
}

}  // namespace fairlead::ctl
