#include "lb/model.h"

namespace fairlead::lb {

const char* protocol_name(uint8_t protocol) {
  return protocol == kTcp ? "tcp" : protocol == kUdp ? "udp" : protocol == kSctp ? "sctp" : "unknown";
}

std::string FrontendKey::to_string() const {
  std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return std::string(protocol_name(protocol)) + " " + host + ":" + std::to_string(port);
}

std::string HostPortKey::to_string() const {
  std::string text = std::string(protocol_name(protocol)) + " port " + std::to_string(port);
  return host_ip ? text + " of " + host_ip.to_string() : text;
}

}  // namespace fairlead::lb
