// Reading who a peer is from OpenSSL's certificate object. Internal to this folder; others use pki.h.
#pragma once

#include <string>

#include "cluster/openssl.h"
#include "cluster/pki.h"

namespace fairlead::cluster {

Result<CertificateInfo> inspect(const X509* certificate);
Result<std::string> digest_of(const X509* certificate);

}  // namespace fairlead::cluster
