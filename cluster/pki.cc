#include "cluster/pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <charconv>

#include "cluster/encoding.h"
#include "cluster/identity.h"
#include "cluster/openssl.h"

namespace fairlead::cluster {
namespace {

constexpr int64_t kAuthoritySeconds = int64_t{20} * 365 * 86400, kHour = 3600;

Result<KeyPtr> read_key(const std::string& pem) {
  KeyPtr key(PEM_read_bio_PrivateKey(read_from(pem).get(), nullptr, nullptr, nullptr));
  if (!key) return fail_openssl("private key");
  return key;
}

Result<CertificatePtr> read_certificate(std::string_view pem) {
  CertificatePtr certificate(PEM_read_bio_X509(read_from(pem).get(), nullptr, nullptr, nullptr));
  if (!certificate) return fail_openssl("certificate");
  return certificate;
}

Result<RequestPtr> read_request(std::string_view pem) {
  RequestPtr request(PEM_read_bio_X509_REQ(read_from(pem).get(), nullptr, nullptr, nullptr));
  if (!request) return fail_openssl("certificate request");
  return request;
}

Result<std::string> write_certificate(X509* certificate) {
  BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1) return fail_openssl("write certificate");
  return text_of(out.get());
}

bool add_name(X509_NAME* name, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  bool done = extension && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return done;
}

// Version, serial number and validity.
bool begin_certificate(X509* certificate, EVP_PKEY* key, int64_t from, int64_t until) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return false;
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, and always of the same length
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return done && X509_set_version(certificate, X509_VERSION_3) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), static_cast<time_t>(from)) &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), static_cast<time_t>(until));
}

bool fill_leaf(X509* certificate, X509* issuer, const Issue& what) {
  X509_NAME* name = X509_get_subject_name(certificate);
  std::string names = "URI:" + to_uri(what.identity);
  if (what.address) names += ",IP:" + what.address.to_string();
  return add_name(name, "O", what.identity.cluster) && add_name(name, "OU", what.identity.role) &&
         add_name(name, "serialNumber", std::to_string(what.identity.number)) &&
         X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
         add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, issuer, NID_ext_key_usage, what.server ? "serverAuth,clientAuth" : "clientAuth") &&
         add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
         add_extension(certificate, issuer, NID_subject_alt_name, names);
}

}  // namespace

Result<Authority> make_authority(std::string_view cluster, std::string_view purpose, int64_t now) {
  FL_TRY(std::string pem, make_key());
  FL_TRY(KeyPtr key, read_key(pem));
  CertificatePtr certificate(X509_new());
  X509* c = certificate.get();
  X509_NAME* name = c ? X509_get_subject_name(c) : nullptr;
  // The number tells it from the authority that comes after it: who looks for an issuer looks for its name first.
  bool done = c && begin_certificate(c, key.get(), now - kHour, now + kAuthoritySeconds) &&
              add_name(name, "O", std::string(cluster)) &&
              add_name(name, "OU", "fairlead root " + std::string(purpose)) &&
              add_name(name, "serialNumber", to_hex(random_bytes(4))) && X509_set_issuer_name(c, name) == 1 &&
              add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE") &&
              add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(c, c, NID_subject_key_identifier, "hash") && X509_sign(c, key.get(), EVP_sha256()) > 0;
  if (!done) return fail_openssl("make certificate authority");
  FL_TRY(std::string text, write_certificate(c));
  return Authority{std::move(text), std::move(pem)};
}

Result<std::string> cross_sign(const Authority& old, const std::string& root, int64_t now) {
  FL_TRY(CertificatePtr issuer, read_certificate(old.certificate));
  FL_TRY(KeyPtr key, read_key(old.key));
  FL_TRY(CertificatePtr subject, read_certificate(root));
  CertificatePtr certificate(X509_new());
  X509* c = certificate.get();
  bool done = c && begin_certificate(c, X509_get0_pubkey(subject.get()), now - kHour, now + kAuthoritySeconds) &&
              X509_set_subject_name(c, X509_get_subject_name(subject.get())) == 1 &&
              X509_set_issuer_name(c, X509_get_subject_name(issuer.get())) == 1 &&
              add_extension(c, issuer.get(), NID_basic_constraints, "critical,CA:TRUE") &&
              add_extension(c, issuer.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(c, issuer.get(), NID_subject_key_identifier, "hash") &&
              add_extension(c, issuer.get(), NID_authority_key_identifier, "keyid") &&
              X509_sign(c, key.get(), EVP_sha256()) > 0;
  if (!done) return fail_openssl("sign the new authority");
  return write_certificate(c);
}

Result<std::string> authority_id(std::string_view pem) {
  FL_TRY(CertificatePtr certificate, read_certificate(pem));
  const ASN1_OCTET_STRING* id = X509_get0_subject_key_id(certificate.get());
  if (!id) return fail("certificate: it has no key identifier");
  return to_hex(
      {reinterpret_cast<const char*>(ASN1_STRING_get0_data(id)), static_cast<size_t>(ASN1_STRING_length(id))});
}

Result<std::string> first_certificate(std::string_view pem) {
  FL_TRY(CertificatePtr certificate, read_certificate(pem));
  return write_certificate(certificate.get());
}

std::string Authority::key_alone() const {
  constexpr std::string_view kCertificate = "-----BEGIN CERTIFICATE-----";
  return key.substr(0, key.find(kCertificate));
}

Result<Authority> parse_authority(const std::string& pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----\n";
  Authority authority;
  authority.key = pem;
  authority.key = authority.key_alone();
  FL_CHECK(read_key(authority.key));
  FL_TRY(authority.certificate, first_certificate(std::string_view(pem).substr(authority.key.size())));
  auto end = pem.find(kEnd);
  if (end != pem.npos) authority.links = pem.substr(end + kEnd.size());
  return authority;
}

Result<std::string> make_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  BioPtr out(BIO_new(BIO_s_mem()));
  if (!key || !out || PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return fail_openssl("make key");
  return text_of(out.get());
}

Result<std::string> make_request(const std::string& pem) {
  FL_TRY(KeyPtr key, read_key(pem));
  RequestPtr request(X509_REQ_new());
  BioPtr out(BIO_new(BIO_s_mem()));
  bool done = request && out && X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
              X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0 &&
              PEM_write_bio_X509_REQ(out.get(), request.get()) == 1;
  if (!done) return fail_openssl("make certificate request");
  return text_of(out.get());
}

Result<std::string> issue_certificate(const Authority& authority, const std::string& pem, const Issue& what) {
  FL_TRY(CertificatePtr issuer, read_certificate(authority.certificate));
  FL_TRY(KeyPtr authority_key, read_key(authority.key));
  FL_TRY(RequestPtr request, read_request(pem));
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) != 256)
    return fail("certificate request: the key is not ECDSA P-256");
  if (X509_REQ_verify(request.get(), key) != 1) return fail_openssl("certificate request: its signature");
  CertificatePtr certificate(X509_new());
  X509* c = certificate.get();
  const int64_t from = what.now - std::min(kHour, std::max<int64_t>(1, what.seconds / 10));
  bool done = c && begin_certificate(c, key, from, what.now + what.seconds) && fill_leaf(c, issuer.get(), what) &&
              X509_sign(c, authority_key.get(), EVP_sha256()) > 0;
  if (!done) return fail_openssl("issue certificate");
  FL_TRY(std::string text, write_certificate(c));
  return text + authority.links;
}

Result<CertificateInfo> inspect_certificate(std::string_view pem) {
  FL_TRY(CertificatePtr certificate, read_certificate(pem));
  return inspect(certificate.get());
}

Result<std::string> certificate_digest(std::string_view pem) {
  FL_TRY(CertificatePtr certificate, read_certificate(pem));
  return digest_of(certificate.get());
}

Result<std::string> request_key_digest(std::string_view pem) {
  FL_TRY(RequestPtr request, read_request(pem));
  unsigned char* der = nullptr;
  int size = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(request.get()), &der);
  if (size <= 0) return fail_openssl("certificate request: its key");
  std::string digest = sha256({reinterpret_cast<char*>(der), static_cast<size_t>(size)});
  OPENSSL_free(der);
  return to_hex(digest);
}

Result<std::string> sign(const std::string& pem, std::string_view data) {
  FL_TRY(KeyPtr key, read_key(pem));
  DigestPtr context(EVP_MD_CTX_new());
  auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, data.size()) != 1)
    return fail_openssl("sign");
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, data.size()) != 1)
    return fail_openssl("sign");
  signature.resize(size);
  return signature;
}

Result<bool> verify_signature(std::string_view pem, std::string_view data, std::string_view signature) {
  FL_TRY(CertificatePtr certificate, read_certificate(pem));
  DigestPtr context(EVP_MD_CTX_new());
  if (!context ||
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, X509_get0_pubkey(certificate.get())) != 1)
    return fail_openssl("verify");
  bool good = EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                               signature.size(), reinterpret_cast<const unsigned char*>(data.data()), data.size()) == 1;
  ERR_clear_error();
  return good;
}

int64_t renewal_time(const CertificateInfo& certificate, double random_part) {
  const auto life = static_cast<double>(certificate.not_after - certificate.not_before);
  return certificate.not_before + static_cast<int64_t>(life * (0.5 + 0.3 * random_part));
}

}  // namespace fairlead::cluster
