#include "server/http_transport.h"

#include <string>

#include "gtest/gtest.h"
#include <openssl/ssl.h>

#include "tests/server/http_fixture.h"
#include "tests/server/tls_files.h"

namespace runahead {
namespace {

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
