#include "server/loadgen/server_url.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(ServerUrlTest, ReadsWhatClientsAreConfiguredWith) {
  struct Case {
    const char* url;
    bool is_tls;
    const char* host;
    const char* port;
    const char* base;
    const char* authority;
  };
  for (const Case& c :
       {Case{"http://127.0.0.1:8000", false, "127.0.0.1", "8000", "", "127.0.0.1:8000"},
        Case{"http://host/", false, "host", "80", "", "host"},
        Case{"https://host/v1", true, "host", "443", "", "host"},
        Case{"https://host:444/a/b/v1/", true, "host", "444", "/a/b", "host:444"},
        Case{"http://[::1]:8000/v1", false, "::1", "8000", "", "[::1]:8000"},
        Case{"http://[::1]", false, "::1", "80", "", "[::1]"}}) {
    const auto url = ParseServerUrl(c.url);
    ASSERT_TRUE(url.ok()) << url.status().message();
    EXPECT_EQ(url->is_tls, c.is_tls) << c.url;
    EXPECT_EQ(url->host, c.host) << c.url;
    EXPECT_EQ(url->port, c.port) << c.url;
    EXPECT_EQ(url->base, c.base) << c.url;
    EXPECT_EQ(url->Authority(), c.authority) << c.url;
  }
}

TEST(ServerUrlTest, RefusesTheRest) {
  for (const char* url :
       {"", "localhost:8000", "ftp://host", "http://", "http://:80",
        "http://host:", "http://host:0", "http://host:99999", "http://host:8x", "http://[::1",
        "http://user:secret@host", "http://host/?a=b", "http://host/\r\nX: y"}) {
    const auto parsed = ParseServerUrl(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_THAT(parsed.status().message(), testing::HasSubstr("--url")) << url;
  }
}

}  // namespace
}  // namespace runahead
