#include "server/loadgen/prompt_file.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/source_dir.h"

namespace runahead {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

constexpr const char* kForms =
    R"({"prompt": "one", "max_tokens": 5}
{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "two"}], "top_p": 0.5}

{"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "x", "messages": [{"role": "user", "content": "three"}]}}
{"id": "c1", "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "four"}, {"from": "gpt", "value": "4"}]}
{"conversations": [{"from": "gpt", "value": "unasked"}]}
)";

TEST(PromptFileTest, ReadsEveryForm) {
  const auto file = ParseJsonPrompts(kForms, Endpoint::kChat);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->bodies.size(), 4u);
  EXPECT_EQ(file->num_skipped, 1);
  EXPECT_EQ(file->bodies[0],
            ordered_json::parse(
                R"({"max_tokens": 5, "messages": [{"role": "user", "content": "one"}]})"));
  EXPECT_EQ(file->bodies[1]["messages"][1]["content"], "two");
  EXPECT_EQ(file->bodies[1]["top_p"], 0.5);
  EXPECT_EQ(file->bodies[2]["messages"][0]["content"], "three");
  EXPECT_FALSE(file->bodies[2].contains("custom_id"));
  EXPECT_EQ(file->bodies[3], BodyOf("four", Endpoint::kChat));
}

TEST(PromptFileTest, ReadsShareGptsArray) {
  const auto file = ParseJsonPrompts(
      R"( [{"conversations": [{"from": "human", "value": "a"}]},
           {"conversations": [{"from": "user", "value": "b"}]}])",
      Endpoint::kCompletions);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(file->bodies.size(), 2u);
  EXPECT_EQ(file->bodies[1], ordered_json({{"prompt", "b"}}));
}

TEST(PromptFileTest, CompletionsTakePromptsAsTheyAre) {
  const auto file =
      ParseJsonPrompts("{\"prompt\": [1, 2, 3]}\n{\"prompt\": \"x\"}", Endpoint::kCompletions);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->bodies[0], ordered_json({{"prompt", {1, 2, 3}}}));
}

TEST(PromptFileTest, ErrorsNameTheLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"prompt\": \"a\"}\n{oops", "line 2 is not JSON"},
      {"7", "line 1 is not a JSON object"},
      {"\n\n{\"text\": \"a\"}", "line 3 has none of prompt, messages, body and conversations"},
      {"{\"prompt\": [1]}", "line 1 has a prompt that is no text"},
      {"[{\"prompt\": \"a\"}, 5]", "entry 2 is not a JSON object"},
      {"[{\"prompt\"", "begins as a JSON array, but is none"}};
  for (const auto& [text, words] : cases) {
    const auto file = ParseJsonPrompts(text, Endpoint::kChat);
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_THAT(file.status().message(), HasSubstr(words)) << text;
  }
  const auto messages = ParseJsonPrompts(R"({"messages": []})", Endpoint::kCompletions);
  EXPECT_THAT(messages.status().message(), HasSubstr("only --endpoint chat"));
}

TEST(PromptFileTest, TextHasAPromptALine) {
  const PromptFile file = ParseTextPrompts("one\\ntwo\r\n\n  \nthree \\t", Endpoint::kCompletions);
  ASSERT_EQ(file.bodies.size(), 2u);
  EXPECT_EQ(file.bodies[0]["prompt"], "one\ntwo");
  EXPECT_EQ(file.bodies[1]["prompt"], "three \\t");
}

TEST(PromptFileTest, ReadsTheProjectsOwnPrompts) {
  const auto file = ReadPromptFile(SourceDir() + "/bench/prompts/demo.txt", Endpoint::kChat);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_GT(file->bodies.size(), 10u);
  EXPECT_THAT(ReadPromptFile("/nonexistent.jsonl", Endpoint::kChat).status().message(),
              HasSubstr("cannot read /nonexistent.jsonl"));
}

}  // namespace
}  // namespace runahead
