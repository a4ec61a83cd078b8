#include "server/request_limits.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/still_engine.h"

namespace runahead {
namespace {

using nlohmann::ordered_json;

class RequestLimitsTest : public testing::Test {
 protected:
  Status Check(const std::function<void(GenerationRequest&)>& change) {
    GenerationRequest request;
    change(request);
    return CheckRanges(request, still_.model());
  }

  StillEngine still_;
};

TEST_F(RequestLimitsTest, TheDefaultsAreInRange) {
  EXPECT_TRUE(Check([](GenerationRequest&) {}).ok());
}

TEST_F(RequestLimitsTest, EachFieldOutOfRangeIsNamed) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<std::string, std::function<void(GenerationRequest&)>>> cases = {
      {"temperature", [](auto& r) { r.sampling.temperature = 2.01f; }},
      {"temperature", [](auto& r) { r.sampling.temperature = -0.01f; }},
      {"temperature", [](auto& r) { r.sampling.temperature = kNan; }},
      {"top_p", [](auto& r) { r.sampling.top_p = 1.01f; }},
      {"min_p", [](auto& r) { r.sampling.min_p = kNan; }},
      {"top_k", [](auto& r) { r.sampling.top_k = -2; }},
      {"presence_penalty", [](auto& r) { r.sampling.presence_penalty = kInfinity; }},
      {"frequency_penalty", [](auto& r) { r.sampling.frequency_penalty = -2.5f; }},
      {"repetition_penalty", [](auto& r) { r.sampling.repetition_penalty = 0; }},
      {"top_logprobs", [](auto& r) { r.sampling.num_logprobs = 21; }},
      {"prompt_logprobs", [](auto& r) { r.sampling.num_prompt_logprobs = 21; }},
      {"logit_bias",
       [](auto& r) {
         r.sampling.logit_bias = {{1, 101.0f}};
       }},
      {"logit_bias",
       [](auto& r) {
         r.sampling.logit_bias = {{100, 1.0f}};
       }},
      {"allowed_token_ids", [](auto& r) { r.sampling.allowed_token_ids = {-1}; }},
      {"banned_token_ids", [](auto& r) { r.sampling.banned_token_ids = {100}; }},
      {"speculation.max_tokens", [](auto& r) { r.speculation.max_tokens = -1; }},
      {"speculation.max_tokens", [](auto& r) { r.speculation.max_tokens = 17; }},
      {"speculation.max_tokens", [](auto& r) { r.speculation.mode = SpeculationMode::kFixed; }},
      {"n", [](auto& r) { r.num_choices = 0; }},
      {"n", [](auto& r) { r.num_choices = 129; }},
      {"max_tokens", [](auto& r) { r.max_tokens = 0; }},
      {"min_tokens", [](auto& r) { r.min_tokens = -1; }},
      {"min_tokens", [](auto& r) { r.min_tokens = 5, r.max_tokens = 4; }},
      {"stop", [](auto& r) { r.stop.assign(kMaxStopStrings + 1, "x"); }},
      {"stop", [](auto& r) { r.stop = {std::string(kMaxStopBytes + 1, 'x')}; }},
      {"stop_token_ids", [](auto& r) { r.stop_token_ids = {100}; }},
  };
  for (const auto& [param, change] : cases) {
    const Status status = Check(change);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << param;
    EXPECT_EQ(status.param(), param) << status.message();
  }
}

TEST_F(RequestLimitsTest, ZeroTokensMayBeAskedForWhenThePromptIsScored) {
  EXPECT_TRUE(Check([](auto& r) { r.max_tokens = 0, r.echo = true; }).ok());
  EXPECT_TRUE(Check([](auto& r) { r.max_tokens = 0, r.sampling.num_prompt_logprobs = 0; }).ok());
}

TEST(CheckMessagesTest, TakesEveryKnownRole) {
  auto messages = ordered_json::array();
  for (const char* role : {"system", "developer", "user", "assistant", "tool", "function"}) {
    messages.push_back({{"role", role}, {"content", "x"}});
  }
  EXPECT_TRUE(CheckMessages(messages).ok());
}

TEST(CheckMessagesTest, NamesTheMessageAtFault) {
  EXPECT_EQ(CheckMessages(ordered_json::array()).param(), "messages");
  EXPECT_EQ(CheckMessages(ordered_json::object()).param(), "messages");
  EXPECT_EQ(CheckMessages(ordered_json::parse(R"([{"role": "user"}, 3])")).param(), "messages[1]");
  EXPECT_EQ(CheckMessages(ordered_json::parse(R"([{"content": "x"}])")).param(),
            "messages[0].role");
  const Status unknown = CheckMessages(ordered_json::parse(R"([{"role": "wizard"}])"));
  EXPECT_EQ(unknown.param(), "messages[0].role");
  EXPECT_THAT(unknown.message(), testing::HasSubstr("wizard"));
}

TEST(ApplyDefaultsTest, SetsWhatTheCheckpointSays) {
  SamplingParams sampling;
  ApplyDefaults({.temperature = 0.5f, .top_p = 0.25f, .top_k = 3, .repetition_penalty = 1.5f},
                sampling);
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_p, 0.25f);
  EXPECT_EQ(sampling.top_k, 3);
  EXPECT_EQ(sampling.repetition_penalty, 1.5f);
}

}  // namespace
}  // namespace runahead
