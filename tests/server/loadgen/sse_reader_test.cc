#include "server/loadgen/sse_reader.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;

std::vector<std::string> Read(const std::vector<std::string>& pieces) {
  SseReader reader;
  std::vector<std::string> events;
  for (const std::string& piece : pieces) EXPECT_TRUE(reader.Feed(piece, events).ok());
  return events;
}

TEST(SseReaderTest, CutsAtEmptyLines) {
  EXPECT_THAT(Read({"data: one\n\ndata:two\n\n"}), ElementsAre("one", "two"));
}

TEST(SseReaderTest, SkipsWhatIsNoData) {
  EXPECT_THAT(Read({": keep-alive\n\nevent: message\nid: 7\ndata: x\nretry: 5\n\ndatum: y\n\n"}),
              ElementsAre("x"));
}

TEST(SseReaderTest, LinesOfOneEventAreJoined) {
  EXPECT_THAT(Read({"data: a\ndata\ndata:  b\n\n"}), ElementsAre("a\n\n b"));
}

TEST(SseReaderTest, AnUnfinishedEventIsNone) { EXPECT_TRUE(Read({"data: a\n"}).empty()); }

TEST(SseReaderTest, AByteOrderMarkIsNoPartOfTheFirstLine) {
  EXPECT_THAT(Read({"\xEF\xBB\xBF"
                    "data: a\n\n"}),
              ElementsAre("a"));
}

class LineEndTest : public testing::TestWithParam<const char*> {};

// Whatever ends lines and wherever reads end, two cuts at every pair of bytes included.
TEST_P(LineEndTest, ReadsMayEndAnywhere) {
  std::string text = ": hello|data: {\"a\":1}||data: x|data: y||data: [DONE]||";
  for (size_t at = 0; (at = text.find('|', at)) != text.npos;) {
    text.replace(at, 1, GetParam());
  }
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      const auto events =
          Read({text.substr(0, first), text.substr(first, second - first), text.substr(second)});
      ASSERT_THAT(events, ElementsAre("{\"a\":1}", "x\ny", "[DONE]")) << first << " " << second;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ends, LineEndTest, testing::Values("\n", "\r", "\r\n"));

TEST(SseReaderTest, AnEndlessEventIsRefused) {
  SseReader reader;
  std::vector<std::string> events;
  const std::string piece(1 << 20, 'x');
  Status status;
  for (int i = 0; i < 17 && status.ok(); ++i) status = reader.Feed(piece, events);
  EXPECT_EQ(status.code(), StatusCode::kPayloadTooLarge);
}

}  // namespace
}  // namespace runahead
