#include "server/http_probe.h"

#include <chrono>
#include <string>

#include "gtest/gtest.h"

#include "tests/server/http_fixture.h"
#include "tests/server/tls_files.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;

// Only ends a test that has failed.
constexpr milliseconds kPatience{60'000};

TEST(ProbeUrl, EveryPart) {
  const auto full = ParseProbeUrl("https://example.com:8443/ready?x=1", "/health");
  ASSERT_TRUE(full.ok());
  EXPECT_TRUE(full->is_tls);
  EXPECT_EQ(full->host, "example.com");
  EXPECT_EQ(full->port, 8443);
  EXPECT_EQ(full->path, "/ready?x=1");
  const auto bare = ParseProbeUrl("http://127.0.0.1", "/health");
  ASSERT_TRUE(bare.ok());
  EXPECT_FALSE(bare->is_tls);
  EXPECT_EQ(bare->port, 80);
  EXPECT_EQ(bare->path, "/health");
  const auto v6 = ParseProbeUrl("https://[::1]", "/health");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 443);
  EXPECT_EQ(ParseProbeUrl("http://[::1]:90/", "/health")->port, 90);
}

TEST(ProbeUrl, WhatIsNoneIsRefusedByName) {
  for (const char* url :
       {"", "127.0.0.1:8000", "ftp://host", "http://", "http://:80",
        "http://host:", "http://host:x", "http://host:0", "http://host:65536", "http://host:8000x/",
        "http://user@host/", "http://host/a b", "http://host/\r\nX: y"}) {
    const auto parsed = ParseProbeUrl(url, "/health");
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_NE(parsed.status().message().find("--url"), std::string::npos);
  }
}

class HttpProbeTest : public HttpFixture {
 protected:
  ProbeUrl Url(const std::string& path) const {
    return {.is_tls = !options_.tls_cert_file.empty(),
            .host = "127.0.0.1",
            .port = port(),
            .path = path};
  }
};

TEST_F(HttpProbeTest, StatusAndBody) {
  Start();
  const auto quick = ProbeHttp(Url("/quick"), kPatience);
  ASSERT_TRUE(quick.ok()) << quick.status().message();
  EXPECT_EQ(quick->status, 200);
  EXPECT_EQ(quick->body, "quick");
  const auto missing = ProbeHttp(Url("/missing"), kPatience);
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(missing->status, 404);
}

TEST_F(HttpProbeTest, OverTlsWithACertificateNobodyKnows) {
  options_.tls_cert_file = testing::TempDir() + "runahead_probe_cert.pem";
  options_.tls_key_file = testing::TempDir() + "runahead_probe_key.pem";
  WriteCertificate(options_.tls_cert_file, options_.tls_key_file);
  Start();
  const auto quick = ProbeHttp(Url("/quick"), kPatience);
  ASSERT_TRUE(quick.ok()) << quick.status().message();
  EXPECT_EQ(quick->body, "quick");
  ProbeUrl plain = Url("/quick");
  plain.is_tls = false;
  EXPECT_FALSE(ProbeHttp(plain, kPatience).ok()) << "no HTTP where TLS is spoken";
}

TEST_F(HttpProbeTest, AServerThatNeverAnswersEndsAtTheDeadline) {
  Start();
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = ProbeHttp(Url("/stream"), milliseconds(50));  // says nothing until told to
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(HttpProbeTest, NobodyThere) {
  Start();
  const ProbeUrl url = Url("/quick");
  server_.reset();
  const auto reply = ProbeHttp(url, kPatience);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(reply.status().message().find("refused"), std::string::npos)
      << reply.status().message();
}

}  // namespace
}  // namespace runahead
