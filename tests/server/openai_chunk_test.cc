#include "server/openai_chunk.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(ChunkWriterTest, WritesWhatTheLongWayGives) {
  AnswerHead head = {.route = OpenAiRoute::kChat,
                     .id = "chatcmpl-1",
                     .created_unix_seconds = 7,
                     .model = "the text of the chunk",
                     .system_fingerprint = "fp"};
  for (const OpenAiRoute route : {OpenAiRoute::kChat, OpenAiRoute::kCompletion}) {
    for (const bool include_usage : {false, true}) {
      head.route = route;
      head.include_usage = include_usage;
      const ChunkWriter writer(head);
      Delta delta;
      delta.choice = 3;
      delta.text = "line\n\"quoted\" \\ \xe2\x82\xac \x01 \xff";
      std::string fast;
      writer.AppendText(delta.choice, delta.text, fast);
      EXPECT_EQ(fast, SseEvent(Dump(FormatDelta(head, delta, {}, nullptr)[0])));
    }
  }
}

}  // namespace
}  // namespace runahead
