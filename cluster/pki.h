// Keys and certificates: ECDSA P-256, no common names. Who somebody is stands in the URI
// fairlead://CLUSTER/ROLE/NAME of the certificate, the role once more in OU, the member's number in serialNumber.
//
// Promise: an authority takes nothing but the public key from a request. Everything is PEM text at this interface.
// Threads: stateless. Times are seconds since 1970.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace fairlead::cluster {

struct Identity {
  std::string cluster;
  std::string role;  // manager node operator viewer; of an etcd peer: etcd
  std::string name;
  uint32_t number = 0;  // never given twice: a new member of an old name is somebody else
};
std::string to_uri(const Identity& identity);

struct CertificateInfo {
  Identity identity;
  int64_t not_before = 0, not_after = 0;
  std::string issuer;  // authority_id() of whose certificate it is
};

struct Authority {
  std::string certificate, key;  // PEM; the first certificate and the first key in them count
  std::string links;             // PEM: its twin that an older authority has signed, sent with what it issues; or empty
  std::string key_alone() const;
};
// KEY, CERTIFICATE, links one after the other.
Result<Authority> parse_authority(const std::string& pem);

// purpose: "nodes" or "etcd". Valid for 20 years.
Result<Authority> make_authority(std::string_view cluster, std::string_view purpose, int64_t now);
// A certificate of root's name and key that old has signed: who trusts old only, follows it to what root has issued.
Result<std::string> cross_sign(const Authority& old, const std::string& root, int64_t now);
// By what certificates name the key of their issuer: the subject key identifier of the first certificate, in hex.
Result<std::string> authority_id(std::string_view pem);
// The first certificate of several.
Result<std::string> first_certificate(std::string_view pem);
Result<std::string> make_key();
// The public key of key, signed by it.
Result<std::string> make_request(const std::string& key);

struct Issue {
  Identity identity;
  Address address;  // as an IP name, when there is one
  bool server = false;
  int64_t now = 0;
  int64_t seconds = 0;  // of validity from now on; backdated by a tenth of it, an hour at most
};
// With the authority's links behind it.
Result<std::string> issue_certificate(const Authority& authority, const std::string& request, const Issue& what);

// Of the first certificate in pem. An error when it is not one of ours.
Result<CertificateInfo> inspect_certificate(std::string_view pem);
// SHA-256 of the first certificate's DER; 32 bytes.
Result<std::string> certificate_digest(std::string_view pem);
// SHA-256 of the public key of a request; 64 hex digits.
Result<std::string> request_key_digest(std::string_view request);

Result<std::string> sign(const std::string& key, std::string_view data);
Result<bool> verify_signature(std::string_view certificate, std::string_view data, std::string_view signature);

// When to renew: random_part of 0 to 1 chooses the point between 50 and 80 % of its life.
int64_t renewal_time(const CertificateInfo& certificate, double random_part);

}  // namespace fairlead::cluster
