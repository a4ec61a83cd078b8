#include "server/loadgen/load_prompts.h"

#include <cstdio>
#include <fstream>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

std::string WriteLines(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

TEST(LoadPromptsTest, RangesAreTwoNumbersOrOne) {
  EXPECT_EQ(ParseTokenRange("--x", "7")->min, 7);
  EXPECT_EQ(ParseTokenRange("--x", "7")->max, 7);
  EXPECT_EQ(ParseTokenRange("--x", "7-19")->min, 7);
  EXPECT_EQ(ParseTokenRange("--x", "7-19")->max, 19);
  for (const char* text : {"", "0", "-5", "5-", "9-3", "a", "5-b", "5 "}) {
    EXPECT_THAT(ParseTokenRange("--x", text).status().message(), HasSubstr("--x: \"")) << text;
  }
}

TEST(LoadPromptsTest, AFileIsReadInOrderAndAgain) {
  const std::string path = WriteLines("three.txt", "a\nb\nc\n");
  const auto prompts =
      MakePrompts({.endpoint = Endpoint::kCompletions, .num_requests = 5, .file = path}, nullptr);
  ASSERT_TRUE(prompts.ok()) << prompts.status().message();
  std::string order;
  for (const ordered_json& body : prompts->bodies) order += body["prompt"];
  EXPECT_EQ(order, "abcab");
  EXPECT_THAT(prompts->description, HasSubstr("repeated"));
  std::remove(path.c_str());
}

TEST(LoadPromptsTest, ShufflingLosesNothing) {
  std::string text;
  for (char c = 'a'; c <= 'z'; ++c) text += std::string(1, c) + "\n";
  const std::string path = WriteLines("letters.txt", text);
  PromptSpec spec{
      .endpoint = Endpoint::kCompletions, .num_requests = 26, .file = path, .shuffles = true};
  std::set<std::string> orders;
  for (const uint64_t seed : {1, 1, 2}) {
    spec.seed = seed;
    std::string order;
    std::set<std::string> letters;
    const auto prompts = MakePrompts(spec, nullptr);
    for (const ordered_json& body : prompts->bodies) {
      order += body["prompt"];
      letters.insert(body["prompt"]);
    }
    EXPECT_EQ(letters.size(), 26u);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 2u);
  std::remove(path.c_str());
}

TEST(LoadPromptsTest, SyntheticOnesSayHowTheyWereMade) {
  PromptSpec spec{.num_requests = 4, .input = {16, 32}, .shared_prefix = 8, .num_groups = 2};
  const TokenCounter by_spaces = [](const std::string& text) {
    return Result<int>(static_cast<int>(std::count(text.begin(), text.end(), ' ')) + 1);
  };
  EXPECT_EQ(MakePrompts(spec, by_spaces)->description,
            "synthetic, 16 to 32 tokens, exactly, by the server's /tokenize; the first 8 shared in "
            "2 groups");
  EXPECT_THAT(MakePrompts(spec, nullptr)->description, HasSubstr("by words"));
}

TEST(LoadPromptsTest, WarmUpsUseOtherWords) {
  const PromptSpec spec{.num_requests = 3, .input = {64, 64}};
  const auto prompts = MakePrompts(spec, nullptr);
  std::set<std::string> texts;
  for (const ordered_json& body : prompts->bodies) texts.insert(body.dump());
  const auto warm = WarmUpPrompts(spec, prompts->bodies, 5);
  ASSERT_EQ(warm.size(), 5u);
  for (const ordered_json& body : warm) {
    EXPECT_TRUE(texts.insert(body.dump()).second);
    EXPECT_GT(body.dump().size(), prompts->bodies[0].dump().size() / 2);
  }
}

ordered_json Finish(const BodySpec& spec, ordered_json prompt) {
  return ordered_json::parse(FinishBodies(spec, {std::move(prompt)})[0]);
}

TEST(LoadPromptsTest, BodiesAskForUsage) {
  EXPECT_EQ(Finish({.model = "m", .output = {9, 9}}, BodyOf("hi", Endpoint::kCompletions)),
            ordered_json::parse(R"({"model":"m","max_tokens":9,"temperature":0.0,"prompt":"hi",
                                    "stream":true,"stream_options":{"include_usage":true}})"));
  const ordered_json body = Finish({.model = "m",
                                    .temperature = 1,
                                    .ignores_eos = true,
                                    .streams = false,
                                    .asks_for_drafts = true,
                                    .seed = 5},
                                   BodyOf("hi", Endpoint::kChat));
  EXPECT_EQ(body["seed"], 5);
  EXPECT_EQ(body["ignore_eos"], true);
  EXPECT_EQ(body["stream"], false);
  EXPECT_FALSE(body.contains("stream_options"));
  EXPECT_EQ(body["speculation"], ordered_json({{"include_usage", true}}));
}

TEST(LoadPromptsTest, LinesCountMoreThanFlagsAndExtraMoreThanBoth) {
  const BodySpec spec{.model = "m",
                      .temperature = 0.5,
                      .asks_for_drafts = true,
                      .extra = {{"top_p", 0.9},
                                {"speculation", {{"mode", "off"}}},
                                {"model", "other"},
                                {"stream", false}}};
  const ordered_json body =
      Finish(spec, {{"prompt", "x"}, {"max_tokens", 3}, {"top_p", 0.1}, {"temperature", 0}});
  EXPECT_EQ(body["max_tokens"], 3);
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_EQ(body["top_p"], 0.9);
  EXPECT_EQ(body["speculation"], ordered_json({{"include_usage", true}, {"mode", "off"}}));
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["stream"], true);
}

TEST(LoadPromptsTest, OutputLengthsFillTheirRange) {
  const std::vector<ordered_json> prompts(200, BodyOf("x", Endpoint::kChat));
  std::set<int> lengths;
  for (const std::string& body : FinishBodies({.output = {3, 6}}, prompts)) {
    lengths.insert(ordered_json::parse(body)["max_tokens"].get<int>());
  }
  EXPECT_EQ(lengths, (std::set<int>{3, 4, 5, 6}));
}

}  // namespace
}  // namespace runahead
