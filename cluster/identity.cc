#include "cluster/identity.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <charconv>
#include <ctime>

#include "base/names.h"
#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

constexpr std::string_view kScheme = "fairlead://";

std::string name_entry(const X509* certificate, int nid) {
  const X509_NAME* name = X509_get_subject_name(certificate);
  int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return "";
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<size_t>(ASN1_STRING_length(value))};
}

std::string uri_of(const X509* certificate) {
  std::string uri;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* value = name->d.uniformResourceIdentifier;
    uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
               static_cast<size_t>(ASN1_STRING_length(value)));
    break;
  }
  GENERAL_NAMES_free(names);
  return uri;
}

int64_t seconds_of(const ASN1_TIME* time) {
  tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

}  // namespace

std::string to_uri(const Identity& identity) {
  return std::string(kScheme) + identity.cluster + "/" + identity.role + "/" + identity.name;
}

Result<CertificateInfo> inspect(const X509* certificate) {
  CertificateInfo info;
  std::string uri = uri_of(certificate);
  std::string_view rest = uri;
  if (!rest.starts_with(kScheme)) return fail("certificate: it names no member of a Fairlead cluster");
  rest.remove_prefix(kScheme.size());
  auto first = rest.find('/'), second = rest.find('/', first + 1);
  if (first == rest.npos || second == rest.npos) return fail("certificate: it names no member of a Fairlead cluster");
  info.identity.cluster = rest.substr(0, first);
  info.identity.role = rest.substr(first + 1, second - first - 1);
  info.identity.name = rest.substr(second + 1);
  std::string number = name_entry(certificate, NID_serialNumber);
  auto parsed = std::from_chars(number.data(), number.data() + number.size(), info.identity.number);
  bool whole = parsed.ec == std::errc() && parsed.ptr == number.data() + number.size();
  if (!whole || !is_object_name(info.identity.cluster) || !is_object_name(info.identity.name) ||
      name_entry(certificate, NID_organizationalUnitName) != info.identity.role)
    return fail("certificate: what it says about its owner does not agree");
  if (const ASN1_OCTET_STRING* id = X509_get0_authority_key_id(const_cast<X509*>(certificate)))
    info.issuer =
        to_hex({reinterpret_cast<const char*>(ASN1_STRING_get0_data(id)), static_cast<size_t>(ASN1_STRING_length(id))});
  info.not_before = seconds_of(X509_get0_notBefore(certificate));
  info.not_after = seconds_of(X509_get0_notAfter(certificate));
  return info;
}

Result<std::string> digest_of(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return fail_openssl("certificate");
  return std::string(reinterpret_cast<char*>(digest), size);
}

tl::unexpected<Error> fail_openssl(std::string_view what) {
  char reason[256] = "failed";
  if (auto code = ERR_peek_error()) ERR_error_string_n(code, reason, sizeof reason);
  ERR_clear_error();
  return fail(std::string(what) + ": " + reason);
}

BioPtr read_from(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

}  // namespace fairlead::cluster
