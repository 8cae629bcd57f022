// Reading many documents at once, as fairleadctl needs them: what cannot be read becomes a warning and is left out.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "ctl/context.h"
#include "state/records.h"

namespace fairlead::ctl {

// Sorted by name. An Error only when a folder cannot be listed.
Result<std::vector<Network>> read_networks(Context& context);
// Of one network, or of all when it is empty. Sorted by network and name.
Result<std::vector<Service>> read_services(Context& context, const std::string& network = "");
Result<std::vector<Endpoint>> read_endpoints(Context& context, const std::string& network = "");
// Also those of other nodes, as far as this node knows them; sorted by network, this node's first.
Result<std::vector<Endpoint>> read_all_endpoints(Context& context, const std::string& network = "");
// Attachment keys of the endpoints that fairlead-lb, here or on their node, found unhealthy for a service.
std::set<std::string> read_unhealthy(Context& context, const Service& service);

// The network, or an Error that says which networks there are.
Result<Network> need_network(Context& context, const std::string& name);

// A record as its document, to add to it.
Result<Json> document_of(const std::string& encoded);
// Indented by two, with a newline at the end.
std::string json_text(const Json& json);
// Documents as one array.
Output json_array(const std::vector<std::string>& encoded);

template <class Record>
Output json_array(const std::vector<Record>& records) {
  std::vector<std::string> encoded;
  for (const auto& record : records) encoded.push_back(encode(record));
  return json_array(encoded);
}

}  // namespace fairlead::ctl
