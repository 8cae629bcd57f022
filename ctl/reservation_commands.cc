#include "ctl/reservation_commands.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "ctl/documents.h"
#include "ctl/table.h"
#include "ipam/capacity.h"
#include "ipam/lease.h"
#include "ipam/reserve.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

bool is_called(const Endpoint& endpoint, const std::string& name) {
  return std::any_of(endpoint.names.begin(), endpoint.names.end(),
                     [&](const std::string& dns_name) { return address_name(dns_name) == name; });
}

bool has(const Endpoint& endpoint, const Address& address) {
  return std::find(endpoint.addresses.begin(), endpoint.addresses.end(), address) != endpoint.addresses.end();
}

// Addresses another IPAM plugin gave are in no lease of ours.
Result<void> refuse_foreign(const std::vector<Endpoint>& endpoints, const std::string& name,
                            const std::vector<Address>& addresses) {
  for (const auto& endpoint : endpoints)
    for (const auto& address : addresses)
      if (has(endpoint, address) && !is_called(endpoint, name))
        return fail("reservation " + name + " in network " + endpoint.network + ": " + address.to_string() +
                    " is in use by container " + std::string(short_id(endpoint.container)) + " " + endpoint.ifname +
                    (endpoint.names.empty() ? "" : " (" + endpoint.names.front() + ")"));
  return {};
}

std::string text_of(const Reservation& reservation) { return join(texts(reservation.addresses), " and "); }

// The container that has one of the addresses now.
std::string user_of(const Context& context, const Reservation& reservation) {
  ipam::LeaseStore store(context.paths, reservation.network);
  for (const auto& address : reservation.addresses)
    if (auto holder = store.holder(address); holder && *holder) return std::string(short_id((*holder)->container));
  return "";
}

}  // namespace

Result<std::vector<Reservation>> read_reservations(Context& context, const std::string& network) {
  std::vector<Reservation> found;
  FL_TRY(auto names, list_documents(context.paths.reservations(network)));
  for (const auto& name : names) {
    auto reservation = load_reservation(context.paths, network, name);
    if (!reservation) context.warnings.push_back(reservation.error().message);
    if (reservation && *reservation) found.push_back(std::move(**reservation));
  }
  return found;
}

Output reservation_create(Context& context, const std::string& name, const std::string& network_name,
                          const std::vector<Address>& addresses) {
  FL_TRY(auto network, need_network(context, network_name));
  FL_CHECK(check_object_name("name", name));
  FL_TRY(auto endpoints, read_endpoints(context, network_name));
  std::vector<Address> wanted = addresses;
  for (const auto& endpoint : endpoints)
    if (wanted.empty() && is_called(endpoint, name)) wanted = endpoint.addresses;
  FL_CHECK(refuse_foreign(endpoints, name, wanted));
  FL_TRY(auto reservation, ipam::reserve(context.paths, network, name, wanted));
  if (context.json) {
    FL_TRY(Json json, document_of(encode(reservation)));
    return json_text(json);
  }
  return text_of(reservation) + " of network " + network_name + " " +
         (reservation.addresses.size() > 1 ? "are" : "is") + " reserved for " + name + "\n";
}

Output reservation_list(Context& context, const std::string& network) {
  std::vector<std::string> networks{network};
  if (network.empty()) {
    FL_TRY(networks, list_folders(context.paths.state + "/reservations"));
    std::erase_if(networks, [](const std::string& name) { return !is_object_name(name); });
  } else {
    FL_CHECK(need_network(context, network));
  }
  std::vector<Reservation> all;
  for (const auto& name : networks) {
    // An editor that wrote into a document left its folder as it was, and with it the index.
    if (auto done = ipam::refresh_edited(context.paths, name); !done) context.warnings.push_back(done.error().message);
    FL_TRY(auto some, read_reservations(context, name));
    all.insert(all.end(), some.begin(), some.end());
  }
  if (context.json) return json_array(all);
  std::vector<std::vector<std::string>> rows;
  for (const auto& r : all) rows.push_back({r.network, r.name, join(texts(r.addresses)), user_of(context, r)});
  return table({"NETWORK", "NAME", "ADDRESSES", "CONTAINER"}, rows);
}

Output reservation_remove(Context& context, const std::string& name, const std::string& network) {
  FL_TRY(bool removed, ipam::unreserve(context.paths, network, name));
  if (!removed)
    return fail("reservation " + name + " in network " + network +
                " does not exist; list them with: fairleadctl reservation ls");
  return context.json ? "" : "reservation " + name + " in network " + network + " is removed\n";
}

}  // namespace fairlead::ctl
