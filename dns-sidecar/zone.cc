#include "dns-sidecar/zone.h"

#include <sys/socket.h>

#include "dns-sidecar/wire.h"

namespace fairlead::dns {
namespace {

void append16(std::string& out, uint16_t v) {
  out.push_back(static_cast<char>(v >> 8));
  out.push_back(static_cast<char>(v));
}
void append32(std::string& out, uint32_t v) {
  append16(out, static_cast<uint16_t>(v >> 16));
  append16(out, static_cast<uint16_t>(v));
}
void append_fixed(std::string& out, uint16_t type, uint32_t ttl, size_t length) {
  append16(out, type);
  append16(out, kClassIn);
  append32(out, ttl);
  append16(out, static_cast<uint16_t>(length));
}
void append_rdata(std::string& out, const Address& a) {
  append_fixed(out, a.is_v4() ? kTypeA : kTypeAaaa, kTtl, a.size());
  out.append(reinterpret_cast<const char*>(a.bytes()), a.size());
}

}  // namespace

void append_address_record(std::string& out, const Address& address) {
  append16(out, 0xc000 | kHeaderBytes);
  append_rdata(out, address);
}

std::string full_name(std::string_view relative, std::string_view suffix) {
  std::string name(relative);
  name.append(suffix).append(kDomainWire).push_back('\0');
  return name.size() <= kMaxNameBytes ? name : std::string();
}

std::string encode_ptr_target(std::string_view relative, const Zone& zone) {
  return zone.suffix.empty() ? std::string() : full_name(relative, zone.suffix);
}

SrvRecord make_srv(uint16_t weight, uint16_t port, std::string_view target, const std::vector<Address>& addresses) {
  SrvRecord srv;
  append16(srv.record, 0xc000 | kHeaderBytes);
  // RFC 2782: the target is not compressed.
  append_fixed(srv.record, kTypeSrv, kTtl, 6 + target.size());
  append16(srv.record, 0);  // priority
  append16(srv.record, weight);
  append16(srv.record, port);
  srv.record.append(target);
  for (const auto& a : addresses) {
    srv.additional.append(target);
    append_rdata(srv.additional, a);
    srv.additional_count++;
  }
  return srv;
}

std::string encode_soa(uint32_t serial) {
  std::string rdata;
  rdata.append("\x02ns").append(kDomainWire).push_back('\0');
  rdata.append("\x0ahostmaster").append(kDomainWire).push_back('\0');
  append32(rdata, serial);
  append32(rdata, 3600);  // refresh, retry and expire concern secondaries; there are none
  append32(rdata, 600);
  append32(rdata, 86400);
  append32(rdata, kNegativeTtl);
  std::string record;
  append_fixed(record, kTypeSoa, kNegativeTtl, rdata.size());
  return record + rdata;
}

}  // namespace fairlead::dns
