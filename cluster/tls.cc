#include "cluster/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>

#include <cerrno>
#include <ctime>

#include "cluster/encoding.h"
#include "cluster/identity.h"
#include "cluster/openssl.h"

namespace fairlead::cluster {
namespace {

// The hash of a key that is no session's must be settled beforehand (RFC 8446, 4.2.11): SHA-256.
constexpr unsigned char kAes128[] = {0x13, 0x01};

// With TLS 1.3 it is heard after the handshake only that the peer did not take our certificate.
tl::unexpected<Error> explain_alert(tl::unexpected<Error> error) {
  if (error.value().message.find("alert unknown ca") == std::string::npos) return error;
  return fail(
      "the manager does not know the authority of this node's certificate, which may have been exchanged while the "
      "node was away; leave the cluster (--force) and join it again");
}

class TlsTransport : public Transport {
 public:
  TlsTransport(Fd fd, SslPtr ssl) : fd_(std::move(fd)), ssl_(std::move(ssl)) {}
  ~TlsTransport() override {
    if (ready_) SSL_shutdown(ssl_.get());  // says goodbye, does not wait for the answer
    ERR_clear_error();
  }

  Result<void> handshake(int64_t deadline, const StopSignal& stop) {
    FL_TRY(size_t done, perform("TLS handshake", deadline, stop, [&] { return SSL_do_handshake(ssl_.get()); }));
    if (done == 0) return fail("TLS handshake: the peer closed the connection", ECONNRESET);
    ready_ = true;
    return {};
  }
  Result<size_t> read(char* to, size_t size, int64_t deadline, const StopSignal& stop) override {
    return perform("read", deadline, stop, [&] { return SSL_read(ssl_.get(), to, static_cast<int>(size)); });
  }
  Result<size_t> write(const char* from, size_t size, int64_t deadline, const StopSignal& stop) override {
    return perform("write", deadline, stop, [&] { return SSL_write(ssl_.get(), from, static_cast<int>(size)); });
  }
  SSL* ssl() const { return ssl_.get(); }

 private:
  template <class Call>
  Result<size_t> perform(const char* what, int64_t deadline, const StopSignal& stop, Call call) {
    for (;;) {
      ERR_clear_error();
      int n = call();
      if (n > 0) return static_cast<size_t>(n);
      int saved = errno;
      switch (SSL_get_error(ssl_.get(), n)) {
        case SSL_ERROR_WANT_READ:
          FL_CHECK(wait_ready(fd_.get(), POLLIN, deadline, stop));
          break;
        case SSL_ERROR_WANT_WRITE:
          FL_CHECK(wait_ready(fd_.get(), POLLOUT, deadline, stop));
          break;
        case SSL_ERROR_ZERO_RETURN:
          return size_t{0};
        case SSL_ERROR_SYSCALL:
          ready_ = false;
          if (saved == 0) return size_t{0};
          return fail_errno(what, "connection", saved);
        default:
          ready_ = false;  // no goodbye after a protocol error (SSL_shutdown(3))
          return explain_alert(fail_openssl(what));
      }
    }
  }
  Fd fd_;
  SslPtr ssl_;
  bool ready_ = false;
};

Result<void> use_credentials(SSL_CTX* context, const Credentials& credentials) {
  KeyPtr key(PEM_read_bio_PrivateKey(read_from(credentials.own).get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1) return fail_openssl("private key");
  BioPtr chain = read_from(credentials.own);
  for (int i = 0;; i++) {
    CertificatePtr certificate(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
    if (!certificate && i > 0) break;
    if (!certificate) return fail_openssl("certificate");
    bool used = i == 0 ? SSL_CTX_use_certificate(context, certificate.get()) == 1
                       : SSL_CTX_add1_chain_cert(context, certificate.get()) == 1;
    if (!used) return fail_openssl("certificate");
  }
  BioPtr roots = read_from(credentials.authorities);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  while (CertificatePtr root{PEM_read_bio_X509(roots.get(), nullptr, nullptr, nullptr)}) {
    // In the chain, too: a host that joins tells by it a token of another cluster from one that is used up.
    if (X509_STORE_add_cert(store, root.get()) != 1 || SSL_CTX_add1_chain_cert(context, root.get()) != 1)
      return fail_openssl("authority");
  }
  ERR_clear_error();  // the end of the file is an error there
  return {};
}

Result<ContextPtr> make_context(const SSL_METHOD* method) {
  ContextPtr context(SSL_CTX_new(method));
  // No tickets, no resumption: each connection proves itself.
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_num_tickets(context.get(), 0) != 1)
    return fail_openssl("prepare TLS");
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_TICKET);  // messages have a length
  return context;
}

SessionPtr session_of(SSL* ssl, std::string_view key) {
  SessionPtr session(SSL_SESSION_new());
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kAes128);
  bool done =
      session && cipher &&
      SSL_SESSION_set1_master_key(session.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size()) == 1 &&
      SSL_SESSION_set_cipher(session.get(), cipher) == 1 &&
      SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) == 1;
  return done ? std::move(session) : nullptr;
}

Result<std::string> binding_of(SSL* ssl) {
  constexpr std::string_view kLabel = "EXPORTER-fairlead-join";
  std::string out(32, '\0');
  if (SSL_export_keying_material(ssl, reinterpret_cast<unsigned char*>(out.data()), out.size(), kLabel.data(),
                                 kLabel.size(), nullptr, 0, 0) != 1)
    return fail_openssl("TLS exporter");
  return out;
}

// An expired member may connect: it may renew, nothing else (front_session.cc).
int accept_expired_member(int verified, X509_STORE_CTX* store) {
  if (verified) return 1;
  bool expired =
      X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_HAS_EXPIRED && X509_STORE_CTX_get_error_depth(store) == 0;
  if (expired) X509_STORE_CTX_set_error(store, X509_V_OK);
  return expired ? 1 : 0;
}

class OpenSslServer : public TlsServer {
 public:
  Result<void> prepare(const Credentials& credentials, Keys keys) {
    FL_TRY(context_, make_context(TLS_server_method()));
    FL_CHECK(use_credentials(context_.get(), credentials));
    keys_ = std::move(keys);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_expired_member);
    SSL_CTX_set_psk_find_session_callback(context_.get(), find_key);
    // OpenSSL demands a context of whatever is resumed where certificates are demanded, of a token's key, too.
    (void)SSL_CTX_set_session_id_context(context_.get(), reinterpret_cast<const unsigned char*>("fairlead"), 8);
    return {};
  }

  Result<Secured> accept(Fd socket, int timeout_ms, const StopSignal& stop) override {
    SslPtr ssl(SSL_new(context_.get()));
    Attempt attempt{this, ""};
    if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1 || SSL_set_app_data(ssl.get(), &attempt) != 1)
      return fail_openssl("prepare TLS");
    SSL_set_accept_state(ssl.get());
    auto transport = std::make_unique<TlsTransport>(std::move(socket), std::move(ssl));
    FL_CHECK(transport->handshake(now_ms() + timeout_ms, stop));
    SSL_set_app_data(transport->ssl(), nullptr);
    Secured secured;
    FL_TRY(secured.binding, binding_of(transport->ssl()));
    if (const X509* certificate = SSL_get0_peer_certificate(transport->ssl())) {
      FL_TRY(secured.certificate, inspect(certificate));
    } else if (SSL_session_reused(transport->ssl()) && !attempt.token.empty()) {
      secured.token = attempt.token;
    } else {
      return fail("TLS handshake: the peer has proved nothing");
    }
    secured.transport = std::move(transport);
    return secured;
  }

 private:
  struct Attempt {
    OpenSslServer* server;
    std::string token;
  };

  // Without a session the handshake goes on with certificates, which a host that joins has none of.
  static int find_key(SSL* ssl, const unsigned char* name, size_t size, SSL_SESSION** session) {
    *session = nullptr;
    auto* attempt = static_cast<Attempt*>(SSL_get_app_data(ssl));
    if (!attempt || size != 16) return 1;
    std::string token(reinterpret_cast<const char*>(name), size);
    if (token.find_first_not_of("0123456789abcdef") != token.npos) return 1;
    auto key = attempt->server->keys_(token);
    if (!key) return 0;  // ends the handshake with the alert "internal error"
    if (!*key) return 1;
    *session = session_of(ssl, **key).release();
    if (*session) attempt->token = token;
    return 1;
  }

  ContextPtr context_;
  Keys keys_;
};

// What a person can do about it, for the errors clocks make.
Error explain(const Error& error, SSL* ssl) {
  long result = SSL_get_verify_result(ssl);
  if (result == X509_V_OK) return error;
  Error explained = error;
  explained.message = std::string("the manager's certificate: ") + X509_verify_cert_error_string(result);
  if (result == X509_V_ERR_CERT_NOT_YET_VALID || result == X509_V_ERR_CERT_HAS_EXPIRED) {
    char now[32];
    time_t seconds = time(nullptr);
    tm parts{};
    gmtime_r(&seconds, &parts);
    strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S UTC", &parts);
    explained.message += std::string("; this machine's clock says ") + now + ": is it right?";
  }
  return explained;
}

struct JoinAttempt {
  const Token* token;
  bool same_cluster = false;
};

int use_key(SSL* ssl, const EVP_MD* digest, const unsigned char** name, size_t* size, SSL_SESSION** session) {
  *session = nullptr;
  auto* attempt = static_cast<JoinAttempt*>(SSL_get_app_data(ssl));
  if (!attempt || (digest && !EVP_MD_is_a(digest, "SHA256"))) return 1;
  static thread_local std::string id;
  id = token_id(*attempt->token);
  *name = reinterpret_cast<const unsigned char*>(id.data());
  *size = id.size();
  *session = session_of(ssl, handshake_key(*attempt->token)).release();
  return *session ? 1 : 0;
}

// Only asked when the manager did not take the token. Never accepts; looks whose manager it was, for the message.
int look_at_manager(X509_STORE_CTX* store, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* attempt = static_cast<JoinAttempt*>(SSL_get_app_data(ssl));
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; attempt && i < sk_X509_num(chain); i++) {
    auto digest = digest_of(sk_X509_value(chain, i));
    if (digest && *digest == attempt->token->root_digest) attempt->same_cluster = true;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

Result<std::unique_ptr<TlsServer>> TlsServer::make(const Credentials& credentials, Keys keys) {
  auto server = std::make_unique<OpenSslServer>();
  FL_CHECK(server->prepare(credentials, std::move(keys)));
  return std::unique_ptr<TlsServer>(std::move(server));
}

Result<Secured> secure_member(Fd socket, const Credentials& credentials, const std::string& cluster, int timeout_ms,
                              const StopSignal& stop) {
  FL_TRY(ContextPtr context, make_context(TLS_client_method()));
  FL_CHECK(use_credentials(context.get(), credentials));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SslPtr ssl(SSL_new(context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1) return fail_openssl("prepare TLS");
  SSL_set_connect_state(ssl.get());
  auto transport = std::make_unique<TlsTransport>(std::move(socket), std::move(ssl));
  if (auto done = transport->handshake(now_ms() + timeout_ms, stop); !done)
    return fail(explain(done.error(), transport->ssl()));
  Secured secured;
  FL_TRY(secured.certificate, inspect(SSL_get0_peer_certificate(transport->ssl())));
  const Identity& peer = secured.certificate->identity;
  if (peer.role != "manager" || peer.cluster != cluster)
    return fail("who answers is " + to_uri(peer) + ", not a manager of cluster " + cluster);
  secured.transport = std::move(transport);
  return secured;
}

Result<Secured> secure_joiner(Fd socket, const Token& token, int timeout_ms, const StopSignal& stop) {
  FL_TRY(ContextPtr context, make_context(TLS_client_method()));
  // The manager chooses the cipher before it looks at the key, and takes the key only when their hashes agree.
  if (SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") != 1) return fail_openssl("prepare TLS");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), look_at_manager, nullptr);
  SSL_CTX_set_psk_use_session_callback(context.get(), use_key);
  SslPtr ssl(SSL_new(context.get()));
  JoinAttempt attempt{&token};
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1 || SSL_set_app_data(ssl.get(), &attempt) != 1)
    return fail_openssl("prepare TLS");
  SSL_set_connect_state(ssl.get());
  auto transport = std::make_unique<TlsTransport>(std::move(socket), std::move(ssl));
  auto done = transport->handshake(now_ms() + timeout_ms, stop);
  SSL_set_app_data(transport->ssl(), nullptr);
  if (!done && attempt.same_cluster)
    return fail("the token is not valid there: it has expired, was used up, or a letter was mistyped", EACCES);
  if (!done && SSL_get_verify_result(transport->ssl()) == X509_V_ERR_APPLICATION_VERIFICATION)
    return fail("the manager there belongs to another cluster than the token", EACCES);
  if (!done && done.error().message.find("alert internal error") != std::string::npos)
    return fail("the manager there cannot look at its tokens now, its etcd does not answer; try again later", EAGAIN);
  if (!done) return fail(done.error());
  if (!SSL_session_reused(transport->ssl()))
    return fail("the manager there has not proved that it knows the token", EACCES);
  Secured secured;
  FL_TRY(secured.binding, binding_of(transport->ssl()));
  secured.transport = std::move(transport);
  return secured;
}

}  // namespace fairlead::cluster
