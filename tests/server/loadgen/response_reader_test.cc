#include "server/loadgen/response_reader.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

const std::string kChunked =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: "
    "chunked\r\n\r\n5\r\nHello\r\n8;ext=1\r\n, world!\r\n0\r\n\r\n";

TEST(ResponseReaderTest, ReadsMayEndAnywhere) {
  for (size_t cut = 0; cut <= kChunked.size(); ++cut) {
    ResponseReader reader;
    ASSERT_TRUE(reader.Feed(kChunked.substr(0, cut)).ok());
    std::string body = reader.has_head() ? reader.TakeBody() : "";
    ASSERT_TRUE(reader.Feed(kChunked.substr(cut)).ok());
    body += reader.TakeBody();
    EXPECT_EQ(body, "Hello, world!") << cut;
    EXPECT_TRUE(reader.done());
    EXPECT_TRUE(reader.keeps_connection());
    EXPECT_EQ(reader.content_type(), "text/event-stream; charset=utf-8");
  }
}

TEST(ResponseReaderTest, BodyComesAsItArrives) {
  ResponseReader reader;
  ASSERT_TRUE(reader.Feed("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nab").ok());
  EXPECT_EQ(reader.status(), 503);
  EXPECT_EQ(reader.TakeBody(), "ab");
  EXPECT_FALSE(reader.done());
  ASSERT_TRUE(reader.Feed("cd").ok());
  EXPECT_EQ(reader.TakeBody(), "cd");
  EXPECT_TRUE(reader.done());
}

TEST(ResponseReaderTest, SomeConnectionsEndWithTheResponse) {
  ResponseReader closing;
  ASSERT_TRUE(
      closing.Feed("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ok());
  EXPECT_TRUE(closing.done());
  EXPECT_FALSE(closing.keeps_connection());
  ResponseReader crowded;  // what follows the response answers nothing that was asked
  ASSERT_TRUE(crowded.Feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP").ok());
  EXPECT_FALSE(crowded.keeps_connection());
}

TEST(ResponseReaderTest, AResponseWithoutLengthEndsWithTheConnection) {
  ResponseReader reader;
  ASSERT_TRUE(reader.Feed("HTTP/1.0 200 OK\r\n\r\nbody").ok());
  EXPECT_FALSE(reader.done());
  ASSERT_TRUE(reader.FeedEnd().ok());
  EXPECT_EQ(reader.TakeBody(), "body");
  EXPECT_TRUE(reader.done());
}

TEST(ResponseReaderTest, CutResponsesAndOtherProtocolsAreErrors) {
  ResponseReader cut;
  ASSERT_TRUE(cut.Feed(kChunked.substr(0, kChunked.size() - 8)).ok());
  EXPECT_FALSE(cut.FeedEnd().ok());
  ResponseReader silent;
  EXPECT_FALSE(silent.FeedEnd().ok());
  ResponseReader other;
  EXPECT_FALSE(other.Feed("SSH-2.0-OpenSSH_9.2\r\n\r\n").ok());
}

}  // namespace
}  // namespace runahead
