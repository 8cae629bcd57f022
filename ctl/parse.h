// The small languages of fairleadctl's options. Every error quotes what was given and says what is expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "state/records.h"

namespace fairlead::ctl {

// [NAME=]PORT[:TARGET][/tcp|udp|sctp]; TARGET is PORT when it is left out. NAME is the port's name in SRV records; the
// record's decoder knows its grammar.
Result<ServicePort> parse_port(const std::string& text);

// PUBLISHED:TARGET[/tcp|udp|sctp].
struct Publication {
  uint32_t published = 0;
  uint32_t target = 0;
  std::string protocol = "tcp";
};
Result<Publication> parse_publication(const std::string& text);

// tcp[:PORT] or http[:PORT][/PATH]. Without PORT: the first target port.
Result<HealthCheck> parse_health(const std::string& text);

// NAME=N: an endpoint's name or address, and its weight from 0 to 65535.
Result<std::pair<std::string, uint32_t>> parse_weight(const std::string& text);

// A duration for the option named; min and max in milliseconds.
Result<uint32_t> parse_option_duration(const std::string& option, const std::string& text, uint32_t min, uint32_t max);

// CIDRs, at most one per family, without host bits.
Result<std::vector<Prefix>> parse_subnets(const std::vector<std::string>& texts);

// Addresses, at most one per family. option: the one they were given with, for messages.
Result<std::vector<Address>> parse_addresses(const std::string& option, const std::vector<std::string>& texts);
Result<std::vector<Address>> parse_vips(const std::vector<std::string>& texts);

}  // namespace fairlead::ctl
