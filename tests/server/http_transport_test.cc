#include "server/http_transport.h"

#include <cstdio>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/server/http_fixture.h"

namespace runahead {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* value) const {
    Free(value);
  }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, Deleter<Free>>;

// A key and a certificate for "localhost", signed by itself, valid for an hour.
void WriteCertificate(const std::string& cert_file, const std::string& key_file) {
  const Owned<EVP_PKEY, EVP_PKEY_free> key(EVP_EC_gen("P-256"));
  const Owned<X509, X509_free> cert(X509_new());
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), name);
  X509_sign(cert.get(), key.get(), EVP_sha256());
  const Owned<FILE, std::fclose> cert_out(std::fopen(cert_file.c_str(), "w"));
  PEM_write_X509(cert_out.get(), cert.get());
  const Owned<FILE, std::fclose> key_out(std::fopen(key_file.c_str(), "w"));
  PEM_write_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

class HttpTransportTest : public HttpFixture {
 protected:
  HttpTransportTest() {
    options_.tls_cert_file = testing::TempDir() + "runahead_cert.pem";
    options_.tls_key_file = testing::TempDir() + "runahead_key.pem";
    WriteCertificate(options_.tls_cert_file, options_.tls_key_file);
  }

  // Sends `request` over TLS and reads until the server says goodbye.
  std::string Ask(const std::string& request) {
    const Owned<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    EXPECT_EQ(SSL_CTX_load_verify_locations(context.get(), options_.tls_cert_file.c_str(), nullptr),
              1);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    const Owned<BIO, BIO_free_all> bio(BIO_new_ssl_connect(context.get()));
    BIO_set_conn_hostname(bio.get(), ("127.0.0.1:" + std::to_string(port())).c_str());
    if (BIO_do_connect(bio.get()) != 1) return "no connection";
    BIO_write(bio.get(), request.data(), static_cast<int>(request.size()));
    std::string received;
    std::string buffer(4096, '\0');
    for (;;) {
      const int count = BIO_read(bio.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (count <= 0) break;
      received.append(buffer, 0, static_cast<size_t>(count));
    }
    return received;
  }
};

TEST_F(HttpTransportTest, ServesAndStreamsOverTls) {
  Start();
  EXPECT_TRUE(Ask("GET /quick HTTP/1.1\r\nConnection: close\r\n\r\n").ends_with("quick"));
  script_->Say("data", true);
  EXPECT_TRUE(
      Ask("GET /stream HTTP/1.1\r\nConnection: close\r\n\r\n").ends_with("4\r\ndata\r\n0\r\n\r\n"));
}

TEST_F(HttpTransportTest, AnyHandshakeThatIsNoneIsDroppedInTime) {
  options_.timeouts.header = std::chrono::milliseconds(30);
  Start();
  TestClient plain(port());
  plain.Send(kGetQuick);
  plain.ReadAll();
  TestClient silent(port());
  EXPECT_EQ(silent.ReadAll(), "");
  // A busy machine may take longer over a real handshake too, but not every time.
  bool is_served = false;
  for (int attempt = 0; attempt < 100 && !is_served; ++attempt) {
    is_served = Ask("GET /quick HTTP/1.1\r\nConnection: close\r\n\r\n").ends_with("quick");
  }
  EXPECT_TRUE(is_served);
}

}  // namespace
}  // namespace runahead
