#include "engine/validate.h"

#include <functional>
#include <limits>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "loop_fixture.h"

namespace runahead {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct WrongRequest {
  const char* name;
  const char* param;
  std::function<void(Request&)> change;
};

class ValidateWrong : public testing::TestWithParam<WrongRequest> {};

TEST_P(ValidateWrong, IsRefusedNamingTheField) {
  Request request = MakeRequest({1, 2, 3}, 5);
  ASSERT_TRUE(ValidateRequest(SmallEngineConfig(), request).ok());
  GetParam().change(request);
  const Status status = ValidateRequest(SmallEngineConfig(), request);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.param(), GetParam().param) << status.message();
}

INSTANTIATE_TEST_SUITE_P(
    All, ValidateWrong,
    testing::Values(
        WrongRequest{"EmptyPrompt", "prompt", [](Request& r) { r.prompt.clear(); }},
        WrongRequest{"IdBeyondVocabulary", "prompt", [](Request& r) { r.prompt[1] = kFakeVocab; }},
        WrongRequest{"NegativeId", "prompt", [](Request& r) { r.prompt[1] = -1; }},
        WrongRequest{"FullContext", "prompt", [](Request& r) { r.prompt.assign(256, 1); }},
        WrongRequest{"NoChoice", "n", [](Request& r) { r.num_choices = 0; }},
        WrongRequest{"NoTokens", "max_tokens", [](Request& r) { r.max_tokens = 0; }},
        WrongRequest{"MinTokens", "min_tokens", [](Request& r) { r.min_tokens = -1; }},
        WrongRequest{"StopId", "stop_token_ids",
                     [](Request& r) {
                       r.stop_token_ids = {1, 5000};
                     }},
        WrongRequest{"HotterThanAll", "temperature",
                     [](Request& r) { r.sampling.temperature = kInfinity; }},
        WrongRequest{"Cold", "temperature", [](Request& r) { r.sampling.temperature = -0.1f; }},
        WrongRequest{"NanTemperature", "temperature",
                     [](Request& r) { r.sampling.temperature = kNan; }},
        WrongRequest{"ZeroTopP", "top_p", [](Request& r) { r.sampling.top_p = 0; }},
        WrongRequest{"NanTopP", "top_p", [](Request& r) { r.sampling.top_p = kNan; }},
        WrongRequest{"MinP", "min_p", [](Request& r) { r.sampling.min_p = 1.1f; }},
        WrongRequest{"TopK", "top_k", [](Request& r) { r.sampling.top_k = -1; }},
        WrongRequest{"Repetition", "repetition_penalty",
                     [](Request& r) { r.sampling.repetition_penalty = 0; }},
        WrongRequest{"Presence", "presence_penalty",
                     [](Request& r) { r.sampling.presence_penalty = kNan; }},
        WrongRequest{"Frequency", "frequency_penalty",
                     [](Request& r) { r.sampling.frequency_penalty = kInfinity; }},
        WrongRequest{"BiasId", "logit_bias",
                     [](Request& r) {
                       r.sampling.logit_bias = {{-3, 1}};
                     }},
        WrongRequest{"BiasNan", "logit_bias",
                     [](Request& r) {
                       r.sampling.logit_bias = {{3, kNan}};
                     }},
        WrongRequest{"Allowed", "allowed_token_ids",
                     [](Request& r) { r.sampling.allowed_token_ids = {kFakeVocab}; }},
        WrongRequest{"Banned", "banned_token_ids",
                     [](Request& r) { r.sampling.banned_token_ids = {-1}; }},
        WrongRequest{"Prediction", "prediction",
                     [](Request& r) {
                       r.prediction = {1, kFakeVocab};
                     }},
        WrongRequest{"FewerThanNoDrafts", "speculation.max_tokens",
                     [](Request& r) { r.speculation.max_tokens = -1; }},
        WrongRequest{"TooManyDrafts", "speculation.max_tokens",
                     [](Request& r) { r.speculation.max_tokens = kMaxDrafts + 1; }}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(Validate, RoomForOneTokenIsEnough) {
  Request request = MakeRequest(std::vector<int32_t>(255, 1), 1000);
  EXPECT_TRUE(ValidateRequest(SmallEngineConfig(), request).ok());
  request.prompt.push_back(1);
  EXPECT_EQ(ValidateRequest(SmallEngineConfig(), request).reason(), "context_length_exceeded");
  request.max_tokens = 0;
  request.sampling.num_prompt_logprobs = 0;
  EXPECT_TRUE(ValidateRequest(SmallEngineConfig(), request).ok());
}

TEST(Validate, APromptLargerThanTheWholeCacheIsRefused) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 3;  // 12 tokens
  EXPECT_TRUE(ValidateRequest(config, MakeRequest(Counting(0, 11), 5)).ok());
  EXPECT_EQ(ValidateRequest(config, MakeRequest(Counting(0, 12), 5)).reason(),
            "context_length_exceeded");
}

TEST(RejectReasonOf, FollowsTheStatus) {
  const Status too_long = InvalidArgument("", "prompt", "context_length_exceeded");
  EXPECT_EQ(RejectReasonOf(too_long), RejectReason::kTooLong);
  EXPECT_EQ(RejectReasonOf(InvalidArgument("")), RejectReason::kInvalid);
  EXPECT_EQ(RejectReasonOf({StatusCode::kResourceExhausted, ""}), RejectReason::kQueueFull);
  EXPECT_EQ(RejectReasonOf({StatusCode::kUnavailable, ""}), RejectReason::kUnavailable);
}

}  // namespace
}  // namespace runahead
