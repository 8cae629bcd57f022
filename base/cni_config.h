// The well-known parts of a CNI configuration that several plugins read: capabilities (runtimeConfig), args, GC's list.
// Runtimes spell them differently: containerd sends {"HostPort":…}, Podman {"hostPort":…}; Go reads keys without
// regard to case, so we do (exact spelling first).
// Errors: kInvalidConfig with the place and what was expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cni.h"

namespace fairlead::cni {

// Member of an object without regard to ASCII case; nullptr when absent, null, or object is not an object.
const Json* find_member(const Json& object, std::string_view key);
// runtimeConfig.KEY; nullptr when absent.
const Json* capability(const Request& request, std::string_view key);

struct PortMap {
  std::string protocol = "tcp";  // tcp udp sctp
  uint32_t host_port = 0;        // never 0: such entries are left out
  uint32_t container_port = 0;
  std::optional<Address> host_ip;  // none (or the unspecified address): every address of the node
};
// Refused: ports out of range, unknown protocols, two entries that want the same host port.
CniResult<std::vector<PortMap>> port_mappings(const Request& request);
// runtimeConfig.bandwidth {ingressRate, ingressBurst, egressRate, egressBurst}: bits per second, and bits. 0: no limit.
struct Bandwidth {
  uint64_t ingress_rate = 0, ingress_burst = 0;  // into the container
  uint64_t egress_rate = 0, egress_burst = 0;    // out of it
};
// Refused: what is no whole number of at least 0, a rate without a burst and the other way round, a rate below 8
// bits/s, a burst of more than 2^32-1 bytes.
CniResult<Bandwidth> bandwidth(const Request& request);
// runtimeConfig.dns {servers, searches, options}.
CniResult<std::optional<Dns>> runtime_dns(const Request& request);
// The configuration's own dns.
CniResult<Dns> conf_dns(const Request& request);
// runtimeConfig.aliases: a list, or (Podman's dnsname) an object network → list, of which the list of `network` or of
// the configuration's name counts. Every alias is a DNS name.
CniResult<std::vector<std::string>> aliases(const Request& request, std::string_view network);
// runtimeConfig.mac, else CNI_ARGS MAC=. Refused: malformed, multicast, all zero.
CniResult<std::optional<Mac>> requested_mac(const Request& request);
// Addresses asked for: runtimeConfig.ips; then args.cni.ips, else CNI_ARGS IP= (a comma list). A prefix length may be
// there and is dropped; duplicates are (Podman sends them). Order kept.
CniResult<std::vector<Address>> requested_ips(const Request& request);
// args.cni.labels: a list of {key, value} (CONVENTIONS) or an object. Before them a pod's annotations that begin with
// "fairlead." (containerd and CRI-O hand all of them to a plugin that declares io.kubernetes.cri.pod-annotations).
CniResult<std::vector<std::pair<std::string, std::string>>> labels(const Request& request);

struct Attachment {
  std::string container, ifname;
  friend bool operator==(const Attachment&, const Attachment&) = default;
  friend auto operator<=>(const Attachment&, const Attachment&) = default;
};
// GC: cni.dev/valid-attachments, or the legacy cni.dev/attachments. nullopt: neither was given (that is not an empty
// list: libcni leaves the key out when called without arguments).
CniResult<std::optional<std::vector<Attachment>>> valid_attachments(const Request& request);

}  // namespace fairlead::cni
