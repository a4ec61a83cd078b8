#include "server/http_parser.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

using Progress = HttpParser::Progress;

const std::string kPost =
    "POST /v1/x%20y?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Request-Id: abc\r\n\r\nhello";

// Feeds until something other than a finished header comes.
Progress FeedAll(HttpParser& parser, std::string& buffer) {
  Progress progress = parser.Feed(buffer);
  while (progress == Progress::kHeaderDone) progress = parser.Feed(buffer);
  return progress;
}

TEST(HttpParserTest, ReadsARequest) {
  HttpParser parser{HttpLimits()};
  std::string buffer = kPost;
  ASSERT_EQ(FeedAll(parser, buffer), Progress::kDone);
  const HttpRequest request = parser.Take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/x y");
  EXPECT_EQ(request.query, "q=1");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(request.headers.Get("x-request-id"), "abc");
  EXPECT_TRUE(request.keep_alive && request.is_http11);
}

TEST(HttpParserTest, BytesMayComeOneByOneAndRequestsBackToBack) {
  HttpParser parser{HttpLimits()};
  std::string buffer;
  int num_requests = 0;
  for (const char c : kPost + kPost) {
    buffer += c;
    if (FeedAll(parser, buffer) != Progress::kDone) continue;
    EXPECT_EQ(parser.Take().body, "hello");
    ++num_requests;
  }
  EXPECT_EQ(num_requests, 2);
  buffer = kPost + kPost;
  ASSERT_EQ(FeedAll(parser, buffer), Progress::kDone);
  parser.Take();
  EXPECT_EQ(buffer, kPost) << "the next request's bytes stay";
}

TEST(HttpParserTest, TheHeadIsThereBeforeTheBody) {
  HttpParser parser{HttpLimits()};
  std::string buffer = kPost.substr(0, kPost.size() - 2);
  ASSERT_EQ(parser.Feed(buffer), Progress::kHeaderDone);
  const HttpRequest head = parser.Head();
  EXPECT_EQ(head.path, "/v1/x y");
  EXPECT_EQ(head.headers.Get("x-request-id"), "abc");
  EXPECT_EQ(head.body, "");
  buffer += "lo";
  ASSERT_EQ(parser.Feed(buffer), Progress::kDone);
  EXPECT_EQ(parser.Take().body, "hello");
}

TEST(HttpParserTest, ChunkedBodiesAreJoined) {
  HttpParser parser{HttpLimits()};
  std::string buffer =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  ASSERT_EQ(FeedAll(parser, buffer), Progress::kDone);
  EXPECT_EQ(parser.Take().body, "abcde");
}

TEST(HttpParserTest, SaysWhetherTheConnectionStays) {
  for (const auto& [line, keeps] :
       {std::pair("HTTP/1.1\r\nConnection: close\r\n\r\n", false),
        std::pair("HTTP/1.0\r\n\r\n", false),
        std::pair("HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true)}) {
    HttpParser parser{HttpLimits()};
    std::string buffer = std::string("GET / ") + line;
    ASSERT_EQ(FeedAll(parser, buffer), Progress::kDone);
    EXPECT_EQ(parser.Take().keep_alive, keeps) << line;
  }
}

TEST(HttpParserTest, LimitsAndNonsenseHaveTheirStatus) {
  HttpLimits limits;
  limits.max_header_bytes = 200;
  limits.max_body_bytes = 10;
  const std::pair<std::string, int> cases[] = {
      {"GET / HTTP/1.1\r\nX: " + std::string(500, 'x') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nX: " + std::string(500, 'x'), 431},
      {"POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + std::string(32, 'x'), 413},
      {"nonsense\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/9.9\r\n\r\n", 400},
      {std::string("GET /\0 HTTP/1.1\r\n\r\n", 19), 400},
  };
  for (const auto& [text, status] : cases) {
    HttpParser parser(limits);
    std::string buffer = text;
    EXPECT_EQ(FeedAll(parser, buffer), Progress::kFailed) << text;
    EXPECT_EQ(parser.http_status(), status) << text;
    EXPECT_FALSE(parser.status().ok());
  }
}

TEST(HttpParserTest, ExpectationsAreSeenAfterTheHeader) {
  HttpParser parser{HttpLimits()};
  std::string buffer = "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(parser.Feed(buffer), Progress::kHeaderDone);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_TRUE(parser.has_begun());
  buffer = "ab";
  EXPECT_EQ(FeedAll(parser, buffer), Progress::kDone);
}

}  // namespace
}  // namespace runahead
