#include "engine/active_request.h"

#include <gtest/gtest.h>

namespace runahead {
namespace {

const TimePoint kNow = TimePoint(std::chrono::seconds(5));

ActiveRequest WithChoices(int count) {
  ActiveRequest request;
  request.choices.resize(static_cast<size_t>(count));
  return request;
}

TEST(ActiveRequest, PromptFactsRideOnTheFirstEventOfChoice0) {
  ActiveRequest request = WithChoices(2);
  request.num_cached_tokens = 16;
  request.prompt_logprobs.resize(3);
  EXPECT_TRUE(request.AddEvent(1, kNow).prompt_logprobs.empty());
  const TokenEvent& first = request.AddEvent(0, kNow);
  EXPECT_EQ(first.prompt_logprobs.size(), 3u);
  EXPECT_EQ(first.num_cached_tokens, 16);
  EXPECT_EQ(first.time, kNow);
  EXPECT_EQ(request.AddEvent(0, kNow).num_cached_tokens, 0);
}

TEST(ActiveRequest, TheOutcomeIsTheWorstOfItsChoices) {
  ActiveRequest request = WithChoices(3);
  EXPECT_EQ(request.Outcome(), FinishReason::kNone);
  request.AddFinish(0, FinishReason::kStop, {}, kNow);
  EXPECT_EQ(request.Outcome(), FinishReason::kStop);
  request.AddFinish(1, FinishReason::kLength, {}, kNow);
  EXPECT_EQ(request.Outcome(), FinishReason::kLength);
  request.AddFinish(2, FinishReason::kExpired, {StatusCode::kDeadlineExceeded, "late"}, kNow);
  EXPECT_EQ(request.Outcome(), FinishReason::kExpired);
  EXPECT_EQ(request.events.back().error.message(), "late");
}

TEST(ActiveRequest, SumsItsChoices) {
  ActiveRequest request = WithChoices(2);
  request.choices[0].num_tokens = 3;
  request.choices[1].num_tokens = 4;
  request.choices[0].last_token = kNow;
  EXPECT_EQ(request.NumTokens(), 7);
  EXPECT_EQ(request.NumTokensOfLongest(), 4);
  EXPECT_EQ(request.LastToken(), kNow);
  EXPECT_FALSE(request.AllCut());
  request.choices[0].was_cut = request.choices[1].was_cut = true;
  EXPECT_TRUE(request.AllCut());
}

}  // namespace
}  // namespace runahead
