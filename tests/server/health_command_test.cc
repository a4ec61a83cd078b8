#include "server/health_command.h"

#include <chrono>
#include <sstream>
#include <string>

#include "gtest/gtest.h"

#include "tests/server/http_fixture.h"

namespace runahead {
namespace {

constexpr std::chrono::milliseconds kPatience{60'000};

TEST(HealthUrl, ReachesWhatTheSettingsListenOn) {
  ServeConfig config;
  EXPECT_EQ(HealthUrl(config), "http://127.0.0.1:8000/health") << "all addresses: loopback is one";
  config.host = "::";
  config.http_port = 9000;
  EXPECT_EQ(HealthUrl(config), "http://[::1]:9000/health");
  config.host = "192.0.2.1";
  config.tls_cert_file = "cert.pem";
  EXPECT_EQ(HealthUrl(config), "https://192.0.2.1:9000/health");
}

// /health is whatever the test last said.
class HealthCommandTest : public HttpFixture {
 protected:
  HealthCommandTest() {
    router_.Add({.method = "GET",
                 .path = "/health",
                 .handler =
                     [this](const HttpRequest&) {
                       HttpResponse response;
                       response.status = status_;
                       response.body = status_ == 200 ? "fine" : "stuck";
                       return response;
                     },
                 .is_open = true,
                 .is_quick = true});
  }

  Status Run(const std::string& path) {
    return RunHealthCommand("http://127.0.0.1:" + std::to_string(port()) + path, kPatience, out_);
  }

  std::atomic<int> status_ = 200;
  std::ostringstream out_;
};

TEST_F(HealthCommandTest, WellIsOkAndPrinted) {
  Start();
  EXPECT_TRUE(Run("").ok()) << "/health is what is asked without a path";
  EXPECT_TRUE(out_.str().ends_with(": 200 fine\n")) << out_.str();
  EXPECT_TRUE(Run("/quick").ok());
}

TEST_F(HealthCommandTest, IllIsAnErrorThatSaysHow) {
  Start();
  status_ = 503;
  const Status status = Run("/health");
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(status.message().ends_with("/health: 503 stuck")) << status.message();
  EXPECT_EQ(out_.str(), "");
  EXPECT_FALSE(Run("/missing").ok());
  server_.reset();
  EXPECT_FALSE(RunHealthCommand("http://127.0.0.1:1/health", kPatience, out_).ok());
  EXPECT_FALSE(RunHealthCommand("127.0.0.1:1", kPatience, out_).ok());
}

}  // namespace
}  // namespace runahead
