#include "engine/speculator.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loop_fixture.h"
#include "pair_under_test.h"
#include "test_drafters.h"

namespace runahead {
namespace {

EngineConfig ConfigWith(std::vector<DrafterKind> drafters) {
  EngineConfig config = SmallEngineConfig();
  config.speculation.drafters = std::move(drafters);
  return config;
}

// A loop with a draft model of a given quality that drafts k tokens for everyone.
class Speculating {
 public:
  Speculating(int k, int quality, const EngineConfig& config = ConfigWith({DrafterKind::kModel}))
      : drafter(config.num_blocks, config.block_size, config.vocab_size, quality),
        decider(k),
        loop(config, 1, {.model = &drafter, .decider = &decider}) {}

  // Serves one request to its end.
  Client Serve(Request request) {
    Client client = loop.Submit(std::move(request));
    loop.RunUntilIdle();
    client.Take();
    return client;
  }

  FakeDraftModel drafter;
  FixedDecider decider;
  TestLoop loop;
};

std::vector<int32_t> Alone(const Request& request, int choice = 0) {
  return FakeTokens(request.prompt, request.max_tokens, request.sampling, kFakeVocab,
                    static_cast<uint32_t>(choice));
}

TEST(Speculator, WithoutDraftersNothingIsAskedOfAnyone) {
  FixedDecider decider(4);
  TestLoop test(SmallEngineConfig(), 1, {.decider = &decider});
  Client client = test.Submit(MakeRequest({1, 2, 3}, 10));
  test.RunUntilIdle();
  EXPECT_EQ(decider.num_decisions, 0);
  EXPECT_EQ(test.metrics.Snapshot().drafters[1].drafts, 0u);
}

TEST(Speculator, AKnowingDraftModelGivesAllItsTokensInAFractionOfTheSteps) {
  Speculating test(4, 100);
  const Request request = MakeRequest({1, 2, 3}, 31);
  Client client = test.Serve(request);
  EXPECT_EQ(client[0].tokens, Alone(request));
  EXPECT_EQ(test.loop.runner.num_steps(), 7);  // the prompt and its token, then 6 times 5
  EXPECT_GT(test.drafter.num_rows_checked(), 0);
  // The prompt at first; then, each time, the last draft, which was drawn and accepted but not run.
  EXPECT_EQ(test.loop.metrics.Snapshot().draft_catch_up_tokens, 3u + 5);
}

TEST(Speculator, AWrongDraftModelChangesNothingButTheCounts) {
  Speculating test(4, 0);
  const Request request = MakeRequest({1, 2, 3}, 12);
  Client client = test.Serve(request);
  EXPECT_EQ(client[0].tokens, Alone(request));
  EXPECT_EQ(test.loop.runner.num_steps(), 12);
  const DrafterCounts counts = test.loop.metrics.Snapshot().drafters[1];
  EXPECT_EQ(counts.drafts, 10u);  // not at the first token, and none for the last
  EXPECT_EQ(counts.drafted_tokens, 4u * 7 + 3 + 2 + 1);
  EXPECT_EQ(counts.accepted_tokens, 0u);
}

// Events: [ first token ] [ d d d d t ] [ d d d d t ] ..
TEST(Speculator, EventsSayWhoProposedAndWhatAStepProposed) {
  Speculating test(4, 100);
  Client client = test.Serve(MakeRequest({1, 2, 3}, 11));
  const ClientChoice& seen = client[0];
  EXPECT_EQ(seen.num_steps, 3);
  EXPECT_EQ(seen.num_drafted, 8);
  for (size_t i = 0; i < seen.tokens.size(); ++i) {
    const bool is_draft = i > 0 && (i - 1) % 5 != 4;
    EXPECT_EQ(seen.drafted_by[i], is_draft ? DrafterKind::kModel : DrafterKind::kNone) << i;
  }
}

TEST(Speculator, CountsOfDraftsAddUp) {
  Speculating test(5, 60);
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(test.loop.Submit(MakeRequest({i, 2, 3}, 40)));
  test.loop.RunUntilIdle();
  const MetricsSnapshot counts = test.loop.metrics.Snapshot();
  const DrafterCounts& model = counts.drafters[static_cast<size_t>(DrafterKind::kModel)];
  EXPECT_GT(model.accepted_tokens, 0u);
  EXPECT_GT(model.drafted_tokens, model.accepted_tokens);
  EXPECT_EQ(model.drafted_at[0], model.drafts);
  EXPECT_EQ(model.accepted_length.count, model.drafts);
  EXPECT_EQ(model.accepted_length.sum, static_cast<double>(model.accepted_tokens));
  for (size_t i = 0; i < kMaxDrafts; ++i) EXPECT_LE(model.accepted_at[i], model.drafted_at[i]);
  // Every run of the target that wants a token gives one beside what it accepts.
  EXPECT_EQ(counts.generated_tokens, counts.tokens_per_run.count + model.accepted_tokens);
  EXPECT_EQ(counts.tokens_per_run.sum,
            static_cast<double>(counts.generated_tokens - counts.discarded_tokens));
  EXPECT_GT(counts.draft_catch_up_tokens, 6u);
  EXPECT_GT(counts.draft_seconds.count, 0u);
  EXPECT_EQ(counts.draft_seconds.count, counts.verify_seconds.count);
}

TEST(Speculator, AStopInsideAnAcceptedRunCutsItThere) {
  const Request plain = MakeRequest({1, 2, 3}, 30);
  const std::vector<int32_t> all = Alone(plain);
  Speculating test(6, 100);
  Request request = plain;
  request.stop_token_ids = {all[9]};  // within the second run of seven
  Client client = test.Serve(request);
  EXPECT_EQ(client[0].tokens, std::vector<int32_t>(all.begin(), all.begin() + 10));
  EXPECT_EQ(client[0].finish, FinishReason::kStop);
  EXPECT_EQ(client[0].stop_token, all[9]);
  const MetricsSnapshot counts = test.loop.metrics.Snapshot();
  EXPECT_GT(counts.discarded_tokens, 0u);
  EXPECT_EQ(counts.generated_tokens - counts.discarded_tokens, 10u);
}

TEST(Speculator, RequestsSayWhetherAndHowFar) {
  Speculating test(16, 100);
  Request request = MakeRequest({1, 2, 3}, 20);
  request.speculation.mode = SpeculationMode::kOff;
  EXPECT_EQ(test.Serve(request)[0].num_drafted, 0);
  request.speculation = {.mode = SpeculationMode::kAuto, .max_tokens = 3};
  EXPECT_EQ(test.Serve(request)[0].num_drafted, 3 * 4 + 2);  // 1 + 4 * 4 + 3
  request.speculation = {.mode = SpeculationMode::kAuto, .max_tokens = 0};
  EXPECT_EQ(test.Serve(request)[0].num_drafted, 0);
}

TEST(Speculator, TheServersBoundHoldsForEveryRequest) {
  EngineConfig config = ConfigWith({DrafterKind::kModel});
  config.speculation.max_drafts = 2;
  Speculating test(16, 100, config);
  EXPECT_EQ(test.Serve(MakeRequest({1, 2, 3}, 20))[0].num_drafted, 2 * 6);  // 1 + 6 * 3 + 1
  config.speculation.max_drafts = 0;
  Speculating none(16, 100, config);
  EXPECT_EQ(none.Serve(MakeRequest({1, 2, 3}, 20))[0].num_drafted, 0);
  EXPECT_EQ(none.decider.num_decisions, 0);
}

TEST(Speculator, ThePolicyHearsWhatTheStepWillHold) {
  EngineConfig config = ConfigWith({DrafterKind::kModel});
  config.max_num_batched_tokens = 24;
  Speculating test(3, 100, config);
  Client first = test.loop.Submit(MakeRequest({1, 2, 3}, 40));
  test.loop.Turns(2);
  Client second = test.loop.Submit(MakeRequest(Counting(0, 50), 4));
  test.loop.Turn();
  EXPECT_EQ(test.decider.last_step.num_other_rows, 23);  // a chunk of the waiting prompt
  EXPECT_EQ(test.decider.last_step.max_tokens, 0);
  EXPECT_EQ(test.decider.last_outcome.num_rows, 24);
  ASSERT_EQ(test.decider.sequences.size(), 1u);  // a chunk wants no token
  EXPECT_EQ(test.decider.sequences[0].num_drafted, 0) << "drafts delay no prefill";
  EXPECT_EQ(test.decider.sequences[0].num_emitted, 1);
  test.loop.RunUntilIdle();
  EXPECT_GT(test.decider.num_histories, 0);
}

TEST(Speculator, ADraftModelThatFailsCostsItsDraftsAndIsNotAskedAgain) {
  Speculating test(4, 100);
  test.drafter.fails_at = 2;
  const Request request = MakeRequest({1, 2, 3}, 31);
  Client client = test.Serve(request);
  EXPECT_EQ(client[0].tokens, Alone(request));
  EXPECT_EQ(test.drafter.num_calls(), 3);
  EXPECT_EQ(client[0].num_drafted, 8);
  EXPECT_THAT(test.loop.logger.lines(),
              testing::Contains(testing::HasSubstr("the draft model's device is lost")));
}

TEST(Speculator, WhatADrafterMayNotSayIsCutOff) {
  for (const int32_t planted : {kFakeVocab, -5}) {
    Speculating test(4, 100);
    test.drafter.plant = planted;
    const Request request = MakeRequest({1, 2, 3}, 30);
    Client client = test.Serve(request);
    EXPECT_EQ(client[0].tokens, Alone(request));
    EXPECT_EQ(test.loop.metrics.Snapshot().drafters[1].drafted_at[3], 0u);
    EXPECT_GT(test.loop.metrics.Snapshot().drafters[1].drafted_at[2], 0u);
  }
  Speculating test(4, 100);
  test.drafter.overreach = 3;
  const Request request = MakeRequest({1, 2, 3}, 30);
  EXPECT_EQ(test.Serve(request)[0].tokens, Alone(request));
  EXPECT_EQ(test.loop.metrics.Snapshot().drafters[1].drafted_at[4], 0u);
}

// In rejection mode the target must be told what each draft was drawn from. Where that is what the
// target itself would draw from, no draft is ever rejected; taken for one-hot drafts, or judged by
// another's row, half of them would be.
TEST(Speculator, RejectionSamplingIsToldWhatDraftsWereDrawnFrom) {
  ModelPair pair("llama_gqa", "llama_gqa", VerifyMode::kRejection);
  ManualClock clock;
  ModelDrafter drafter(pair.draft(), kPairLimits, clock,
                       static_cast<int>(pair.target().draft_logits().dim(0)));
  FixedDecider decider(5);
  EngineConfig config = pair.Config();
  config.speculation.drafters = {DrafterKind::kModel};
  LoopUnderTest loop(pair.target(), config, 1, {.model = &drafter, .decider = &decider}, &clock);
  std::vector<Client> clients;
  for (int i = 0; i < 12; ++i) {
    Request request = MakeRequest(Counting(i, 10 + i), 40);
    request.sampling.temperature = i % 3 == 0 ? 0.0f : 1.2f;
    request.sampling.top_p = i % 2 == 0 ? 1.0f : 0.8f;
    clients.push_back(loop.Submit(request));
    loop.Turn();
  }
  loop.RunUntilIdle();
  const DrafterCounts counts = loop.metrics.Snapshot().drafters[1];
  EXPECT_GT(counts.drafted_tokens, 300u);
  EXPECT_EQ(counts.accepted_tokens, counts.drafted_tokens);
}

// The output repeats the prompt's second half, so that a lookup finds what comes next.
TEST(Speculator, LookupDraftersNeedNoModel) {
  const std::vector<int32_t> beginning = {1, 2, 3};
  Request request = MakeRequest(beginning, 40);
  const std::vector<int32_t> output = Alone(request);
  Request edit = request;
  edit.prediction = output;
  edit.prediction[20] = (output[20] + 1) % kFakeVocab;  // one edit, which it must get over
  FixedDecider decider(8);
  TestLoop test(ConfigWith({DrafterKind::kPrediction, DrafterKind::kNgram}), 1,
                {.decider = &decider});
  Client client = test.Submit(edit);
  test.RunUntilIdle();
  client.Take();
  EXPECT_EQ(client[0].tokens, output);
  const MetricsSnapshot counts = test.metrics.Snapshot();
  const DrafterCounts& prediction = counts.drafters[static_cast<size_t>(DrafterKind::kPrediction)];
  EXPECT_GT(prediction.accepted_tokens, 25u);
  EXPECT_LT(test.runner.num_steps(), 12);
  EXPECT_EQ(counts.draft_catch_up_tokens, 0u);
}

TEST(Speculator, TheNgramDrafterFindsWhatFollowedBefore) {
  Request request = MakeRequest({1, 2, 3}, 30);
  const std::vector<int32_t> output = Alone(request);
  // FakeRunner's text depends on all tokens before, so repeat until the model itself cycles: a
  // prompt that ends as it began gives the index a match, right or wrong.
  request.prompt = {5, 6, 7, 8, 9, 5, 6, 7};
  FixedDecider decider(3);
  TestLoop test(ConfigWith({DrafterKind::kNgram}), 1, {.decider = &decider});
  Client client = test.Submit(request);
  request.max_tokens = 30;
  test.RunUntilIdle();
  client.Take();
  EXPECT_EQ(client[0].tokens, Alone(request));
}

}  // namespace
}  // namespace runahead
