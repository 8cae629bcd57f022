// Shared pieces of the records' decoders and encoders. Internal to state/.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/ip.h"
#include "base/json.h"

namespace fairlead::codec {

using fairlead::Json;

void read_version(ObjectReader& r);  // apiVersion, absent = 1
void read_name(ObjectReader& r, const char* key, std::string& name);
void one_of(ObjectReader& r, const char* key, const std::string& value, std::initializer_list<const char*> allowed);
void read_address(ObjectReader& r, const char* key, Address& address);                   // optional
void read_addresses(ObjectReader& r, const char* key, std::vector<Address>& addresses);  // one per family
// "500ms", "1s", "2m", or a number of milliseconds.
void read_duration(ObjectReader& r, const char* key, uint32_t& ms, uint32_t min, uint32_t max);

Json start(const std::string& extra);  // apiVersion and the unknown fields of the document that was read
std::string text(const Json& json);    // with a newline at the end

}  // namespace fairlead::codec
