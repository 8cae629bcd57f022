// The grammars of names that come from outside. Everything is checked here before it becomes part of a path,
// a kernel name or a DNS name.
#pragma once

#include <string_view>

#include "base/result.h"

namespace fairlead {

// Networks, services, nodes: [a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?
bool is_object_name(std::string_view name);
// As is_object_name; the error says what is expected. what: "network name".
Result<void> check_object_name(std::string_view what, std::string_view name);

// CNI_CONTAINERID and CNI network names: [A-Za-z0-9][A-Za-z0-9_.-]* (CNI spec 1.1.0 section 2). No upper length.
bool is_cni_id(std::string_view id);
// CNI_IFNAME: 1 to 15 bytes, not "." or "..", no '/', ':', '%' or white space (dev_valid_name in net/core/dev.c;
// '%' would make the kernel choose another name).
bool is_interface_name(std::string_view name);
// One or more DNS labels of letters, digits, '-', '_' (1 to 63 bytes each), 253 bytes in all.
bool is_dns_name(std::string_view name);

// An id a machine made (Docker, Podman, CRI: 64 hex digits), as against one a person gave ("default-web-1").
bool is_machine_made_id(std::string_view id);
// For people: the first twelve digits of a machine's id, a person's id whole.
std::string_view short_id(std::string_view id);

}  // namespace fairlead
