// Reading and writing single documents. One writer per document; replace is atomic. Threads: stateless.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead {

// nullopt when there is no such document. Errors name the path and, for a bad document, the field.
Result<std::optional<Network>> load_network(const Paths& paths, const std::string& name);
Result<std::optional<Service>> load_service(const Paths& paths, const std::string& network, const std::string& name);
Result<std::optional<Endpoint>> load_endpoint(const Paths& paths, const std::string& network,
                                              const std::string& container, const std::string& ifname);
// By the path of its document, for who lists the folder.
Result<std::optional<Endpoint>> load_endpoint_file(const std::string& path);
Result<std::optional<Router>> load_router(const Paths& paths, const std::string& network);
// attachment: as attachment_key() makes it.
Result<std::optional<PortReport>> load_port_report(const Paths& paths, const std::string& network,
                                                   const std::string& attachment);

Result<void> save(const Paths& paths, const Service& service);    // durable
Result<void> save(const Paths& paths, const Endpoint& endpoint);  // this boot
Result<void> save(const Paths& paths, const ServiceHealth& health);
Result<void> save(const Paths& paths, const Router& router);
Result<void> save(const Paths& paths, const PortReport& report);
Result<bool> remove_endpoint(const Paths& paths, const std::string& network, const std::string& container,
                             const std::string& ifname);

// What there is to know for choosing the subnets of a network that names none.
struct SubnetChoice {
  std::vector<Prefix> taken;  // what this node has routes for (overlay/host_prefixes.h)
  bool ipv6 = true;
};

// Gives the network a free VNI when it has none and, with a choice, subnets when it has none (state/address_plan.h),
// and writes it, unless a network of that name is there already (then that one is returned and the argument is not
// looked at; *created tells which). Refused: a VNI another network has, a bad document.
// Takes the lock of the networks folder; of two at once both get the same record.
Result<Network> create_network(const Paths& paths, Network network,
                               const std::optional<SubnetChoice>& choice = std::nullopt, bool* created = nullptr);

// What create_network() would write, without writing it and without a lock: for who hands it to somebody else.
Result<Network> plan_network(const Paths& paths, Network network, const std::optional<SubnetChoice>& choice);

// Everything below a folder of documents: names (without .json) of regular files, sorted. Missing folder: empty.
Result<std::vector<std::string>> list_documents(const std::string& folder);
Result<std::vector<std::string>> list_folders(const std::string& folder);

}  // namespace fairlead
