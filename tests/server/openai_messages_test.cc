#include <string>

#include "gtest/gtest.h"

#include "server/openai_parse.h"

namespace runahead {
namespace {

Result<Json> Parse(const std::string& messages) {
  return ParseMessages(Json::parse("{\"messages\": " + messages + "}"));
}

std::string Dumped(const std::string& messages) {
  const Result<Json> parsed = Parse(messages);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? parsed->dump() : "";
}

std::string Refused(const std::string& messages) {
  const Result<Json> parsed = Parse(messages);
  EXPECT_FALSE(parsed.ok()) << messages;
  return parsed.status().param();
}

TEST(OpenAiMessagesTest, TextStaysAndDeveloperIsSystem) {
  EXPECT_EQ(Dumped(R"([{"role": "developer", "content": "d"}, {"content": "u", "role": "user"}])"),
            R"([{"role":"system","content":"d"},{"role":"user","content":"u"}])");
}

TEST(OpenAiMessagesTest, TextPartsAreJoined) {
  EXPECT_EQ(Dumped(R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                                     {"type": "text", "text": "b"}]}])"),
            R"([{"role":"user","content":"a\nb"}])");
}

TEST(OpenAiMessagesTest, ToolCallsKeepTheirArgumentsAsObjects) {
  EXPECT_EQ(Dumped(R"([{"role": "assistant", "content": null, "tool_calls": [{"id": "c",
                       "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
                       {"role": "tool", "tool_call_id": "c", "content": "2"}])"),
            R"([{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",)"
            R"("function":{"name":"f","arguments":{"x":1}}}]},)"
            R"({"role":"tool","content":"2","tool_call_id":"c"}])");
}

TEST(OpenAiMessagesTest, RefusalsNameThePlace) {
  EXPECT_EQ(Refused("[]"), "messages");
  EXPECT_EQ(Refused("null"), "messages");
  EXPECT_EQ(Refused("\"hi\""), "messages");
  EXPECT_EQ(Refused("[3]"), "messages[0]");
  EXPECT_EQ(Refused(R"([{"content": "x"}])"), "messages[0].role");
  EXPECT_EQ(Refused(R"([{"role": "user", "content": "x"}, {"role": "robot", "content": "x"}])"),
            "messages[1].role");
  EXPECT_EQ(Refused(R"([{"role": "user"}])"), "messages[0].content");
  EXPECT_EQ(Refused(R"([{"role": "user", "content": 5}])"), "messages[0].content");
  EXPECT_EQ(Refused(R"([{"role": "user", "content": [5]}])"), "messages[0].content[0]");
  EXPECT_EQ(Refused(R"([{"role": "user", "content": [{"type": "text"}]}])"),
            "messages[0].content[0].text");
  EXPECT_EQ(Refused(R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])"),
            "messages[0].content[0].type");
  EXPECT_EQ(Refused(R"([{"role": "user", "content": "x", "name": 5}])"), "messages[0].name");
}

}  // namespace
}  // namespace runahead
