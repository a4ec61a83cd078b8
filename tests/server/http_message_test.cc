#include "server/http_message.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(HttpHeadersTest, NamesCompareWithoutCase) {
  HttpHeaders headers;
  headers.Add("X-One", "1");
  headers.Add("x-one", "2");
  EXPECT_EQ(headers.Get("X-ONE"), "1");
  headers.Set("X-one", "3");
  EXPECT_EQ(headers.fields().size(), 1u);
  EXPECT_EQ(headers.Get("x-one"), "3");
  EXPECT_FALSE(headers.Has("x-two"));
  EXPECT_EQ(headers.Get("x-two"), "");
}

TEST(HttpMessageTest, SerializesHeads) {
  HttpResponse response;
  response.status = 404;
  response.headers.Add("X-A", "b\r\nEvil: 1");
  response.body = "12345";
  EXPECT_EQ(SerializeHead(response, true, BodyFraming::kLength),
            "HTTP/1.1 404 Not Found\r\nX-A: b  Evil: 1\r\nContent-Type: application/json\r\n"
            "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n");
  response = HttpResponse();
  EXPECT_EQ(SerializeHead(response, false, BodyFraming::kChunked),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  response.status = 204;
  EXPECT_EQ(SerializeHead(response, true, BodyFraming::kLength),
            "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
  response.status = 304;
  EXPECT_EQ(SerializeHead(response, true, BodyFraming::kLength),
            "HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpMessageTest, DecodesPercents) {
  EXPECT_EQ(PercentDecode("/v1/models/a%2Fb%20c"), "/v1/models/a/b c");
  EXPECT_EQ(PercentDecode("%4"), std::nullopt);
  EXPECT_EQ(PercentDecode("%zz"), std::nullopt);
}

}  // namespace
}  // namespace runahead
