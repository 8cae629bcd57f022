// Whether a document of the cluster is what its key says: the managers check what they are given, the nodes what they
// are told. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::cluster {

// The segments of a key: letters that cannot be a path's end, between 1 and 255 bytes, none beginning with a point.
Result<std::vector<std::string>> split_key(std::string_view key);

// networks, services, nodes, blocks, endpoints, health, keys, associations: decoded as the state directory would, and
// its names compared with the key's. Other keys: a JSON object.
Result<void> check_document(std::string_view key, const std::string& value);

// The document with the field "cluster", by which a node knows what it has from the cluster; or without it.
Result<std::string> with_mark(const std::string& document, const std::string& cluster);
// The cluster a document is marked with; empty when it is not, or is no document.
std::string mark_of(const std::string& document);

}  // namespace fairlead::cluster
