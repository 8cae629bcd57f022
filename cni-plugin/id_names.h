// Names for a container whose runtime passes none: those that its id has, when a person chose it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fairlead::plugin {

// `ctr run --cni` passes nothing but NAMESPACE-ID ("default-web-1"). The names are the id itself, when the container's
// shim says which part that is, and the whole. None for an id a machine made (Docker, Podman, CRI: 64 hex digits): DNS
// answers the first twelve digits anyway. netns: the path the runtime gave. Never fails; reads /proc.
std::vector<std::string> names_from_id(const std::string& container, const std::string& netns);

// ID, when cmdline (of /proc/PID/cmdline) is that of containerd's shim for container NAMESPACE-ID; else empty. Taking
// off what stands before the first dash would be a guess: both parts may have dashes. Pure.
std::string id_from_shim(std::string_view cmdline, std::string_view container);

}  // namespace fairlead::plugin
