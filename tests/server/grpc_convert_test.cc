#include "server/grpc_convert.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/still_engine.h"
#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::Pair;

class GrpcConvertTest : public testing::Test {
 protected:
  GrpcConvertTest() { still_.model().defaults.temperature = 0.25f; }
  StillEngine still_;
  std::unique_ptr<Tokenizer> tokenizer_ = MakeByteTokenizer();
};

TEST_F(GrpcConvertTest, AbsentFieldsTakeTheModelsDefaults) {
  v1::GenerateRequest request;
  request.set_text("hello");
  const auto read = FromProto(request, still_.model());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->model, "still");
  EXPECT_EQ(std::get<TextPrompt>(read->prompt).text, "hello");
  EXPECT_EQ(read->sampling.temperature, 0.25f);
  EXPECT_EQ(read->num_choices, 1);
  EXPECT_FALSE(read->max_tokens.has_value());
  EXPECT_FALSE(read->seed.has_value());
  EXPECT_EQ(read->sampling.num_logprobs, -1);
  EXPECT_TRUE(read->skip_special_tokens);
}

TEST_F(GrpcConvertTest, EveryOptionArrives) {
  v1::GenerateRequest request;
  request.mutable_tokens()->add_ids(4);
  request.set_echo(true);
  request.set_request_id("mine");
  v1::GenerationOptions& options = *request.mutable_options();
  options.set_max_tokens(9);
  options.set_min_tokens(2);
  options.set_n(3);
  options.add_stop("END");
  options.add_stop_token_ids(7);
  options.set_include_stop_in_output(true);
  options.set_ignore_eos(true);
  options.set_skip_special_tokens(false);
  options.set_priority(-4);
  options.set_cache_salt("salt");
  v1::SamplingOptions& sampling = *options.mutable_sampling();
  sampling.set_temperature(0);
  sampling.set_top_p(0);
  sampling.set_top_k(-1);
  sampling.set_min_p(0.1f);
  sampling.set_seed(5);
  (*sampling.mutable_logit_bias())[6] = -1;
  (*sampling.mutable_logit_bias())[2] = 1;
  sampling.add_allowed_token_ids(6);
  sampling.add_allowed_token_ids(2);
  sampling.set_logprobs(0);
  const auto read = FromProto(request, still_.model());
  ASSERT_TRUE(read.ok());
  EXPECT_THAT(std::get<TokenPrompt>(read->prompt).ids, ElementsAre(4));
  EXPECT_TRUE(read->echo);
  EXPECT_EQ(read->id, "mine");
  EXPECT_EQ(read->max_tokens, 9);
  EXPECT_EQ(read->min_tokens, 2);
  EXPECT_EQ(read->num_choices, 3);
  EXPECT_THAT(read->stop, ElementsAre("END"));
  EXPECT_THAT(read->stop_token_ids, ElementsAre(7));
  EXPECT_TRUE(read->include_stop_in_output && read->ignore_eos && !read->skip_special_tokens);
  EXPECT_EQ(read->priority, -4);
  EXPECT_EQ(read->cache_salt, "salt");
  EXPECT_TRUE(read->sampling.IsGreedy());
  EXPECT_GT(read->sampling.top_p, 0);
  EXPECT_EQ(read->sampling.top_k, 0);
  EXPECT_EQ(read->seed, 5u);
  EXPECT_THAT(read->sampling.logit_bias, ElementsAre(Pair(2, 1.0f), Pair(6, -1.0f)));
  EXPECT_THAT(read->sampling.allowed_token_ids, ElementsAre(2, 6));
  EXPECT_EQ(read->sampling.num_logprobs, 0);
}

TEST_F(GrpcConvertTest, SpeculationAndPredictionArrive) {
  v1::GenerateRequest request;
  request.set_text("hello");
  v1::GenerationOptions& options = *request.mutable_options();
  auto read = FromProto(request, still_.model());
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read->speculation.mode || read->speculation.max_tokens);
  EXPECT_TRUE(read->prediction.empty());
  options.mutable_speculation()->set_mode(v1::SPECULATION_MODE_FIXED);
  options.mutable_speculation()->set_max_tokens(0);
  options.mutable_speculation()->set_include_usage(true);
  options.mutable_speculation()->set_include_drafter(true);
  options.set_prediction("abc");
  still_.model().tokenizer = MakeByteTokenizer();
  read = FromProto(request, still_.model());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->speculation.mode, SpeculationMode::kFixed);
  EXPECT_EQ(read->speculation.max_tokens, 0);
  EXPECT_TRUE(read->speculation.include_usage && read->speculation.include_drafter);
  EXPECT_THAT(read->prediction, ElementsAre('a', 'b', 'c'));
  options.mutable_speculation()->set_mode(static_cast<v1::SpeculationMode>(9));
  EXPECT_EQ(FromProto(request, still_.model()).status().param(), "speculation.mode");
}

TEST_F(GrpcConvertTest, UsageAndTokensShowDrafts) {
  Usage usage = {3, 9, 0};
  usage.drafts.target_steps = 5;
  usage.drafts.by_drafter[static_cast<size_t>(DrafterKind::kPrediction)] = {6, 5};
  v1::Usage out = ToProto(usage);
  EXPECT_EQ(out.accepted_prediction_tokens(), 5);
  EXPECT_EQ(out.rejected_prediction_tokens(), 1);
  EXPECT_FALSE(out.has_speculation());
  usage.includes_drafts = true;
  out = ToProto(usage);
  EXPECT_EQ(out.speculation().target_steps(), 5);
  EXPECT_EQ(out.speculation().drafted_tokens(), 6);
  ASSERT_EQ(out.speculation().drafters_size(), 1);
  EXPECT_EQ(out.speculation().drafters(0).drafter(), v1::DRAFTER_PREDICTION);
  EXPECT_EQ(out.speculation().drafters(0).accepted_tokens(), 5);
  TokenDetail token{.id = 1, .bytes = "b"};
  EXPECT_EQ(ToProto(token, *tokenizer_).drafted_by(), v1::DRAFTER_UNSPECIFIED);
  token.drafted_by = DrafterKind::kNgram;
  EXPECT_EQ(ToProto(token, *tokenizer_).drafted_by(), v1::DRAFTER_NGRAM);
}

TEST_F(GrpcConvertTest, ARequestWithoutPromptIsRefused) {
  EXPECT_EQ(FromProto(v1::GenerateRequest(), still_.model()).status().param(), "prompt");
  EXPECT_EQ(FromProto(v1::ChatRequest(), still_.model()).status().param(), "messages");
}

TEST_F(GrpcConvertTest, DeltasKeepTokensAndReasons) {
  Delta delta;
  delta.choice = 2;
  delta.text = "ab";
  delta.finish = FinishReason::kStop;
  delta.stop_reason = std::string("END");
  delta.tokens.push_back({.id = 1, .bytes = "b"});
  delta.tokens.back().logprobs =
      PositionLogprobs{.chosen = {.token = 1, .logprob = -0.5f, .rank = 2},
                       .top = {{.token = 'd', .logprob = -0.25f}}};
  const v1::GenerateResponse out = ToProto(delta, *tokenizer_);
  EXPECT_EQ(out.index(), 2);
  EXPECT_EQ(out.text(), "ab");
  EXPECT_EQ(out.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(out.stop_string(), "END");
  ASSERT_EQ(out.tokens_size(), 1);
  EXPECT_EQ(out.tokens(0).rank(), 2);
  EXPECT_EQ(out.tokens(0).top(0).token(), "d");
}

TEST(ToGrpcTest, StatusCodesAreThoseTheContractNames) {
  const std::vector<std::pair<StatusCode, grpc::StatusCode>> cases = {
      {StatusCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
      {StatusCode::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED},
      {StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND},
      {StatusCode::kPayloadTooLarge, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {StatusCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {StatusCode::kCancelled, grpc::StatusCode::CANCELLED},
      {StatusCode::kInternal, grpc::StatusCode::INTERNAL},
      {StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
      {StatusCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED},
  };
  for (const auto& [ours, theirs] : cases) {
    EXPECT_EQ(ToGrpc({ours, "why"}).error_code(), theirs);
    EXPECT_EQ(ToGrpc({ours, "why"}).error_message(), "why");
  }
}

}  // namespace
}  // namespace runahead
