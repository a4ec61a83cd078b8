// The rules of a step, one by one (scheduler.h numbers them).
#include <algorithm>
#include <chrono>
#include <vector>

#include "gtest/gtest.h"

#include "tests/scheduler/serving.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;

// Rule 1. A step lasts a millisecond here.
TEST(ScheduleStepTest, PastItsDeadlineAQueuedRequestIsDroppedUnserved) {
  Serving serving({.scheduler = {.max_num_seqs = 1}});
  const uint64_t running = serving.Submit({.prompt = FakePrompt(4), .max_tokens = 10});
  const uint64_t queued = serving.Submit({.prompt = FakePrompt(4),
                                          .num_choices = 2,
                                          .max_tokens = 10,
                                          .deadline = serving.now + milliseconds(3)});
  serving.Step();
  serving.Step();
  EXPECT_TRUE(serving.batch.ended.empty());
  serving.Step();
  ASSERT_EQ(serving.batch.ended.size(), 2u);
  EXPECT_EQ(serving.batch.ended[0].reason, EndReason::kExpired);
  EXPECT_FALSE(serving.batch.ended[0].was_running);
  EXPECT_FALSE(serving.batch.ended[0].request_ended);
  EXPECT_TRUE(serving.batch.ended[1].request_ended);
  EXPECT_TRUE(serving.Of(queued).tokens.empty());
  EXPECT_GT(serving.NumRun(running), 0);
  serving.RunUntilIdle();
}

TEST(ScheduleStepTest, PastItsDeadlineARunningRequestKeepsWhatItSaid) {
  Serving serving({});
  const uint64_t id = serving.Submit(
      {.prompt = FakePrompt(4), .max_tokens = 10, .deadline = serving.now + milliseconds(4)});
  while (serving.Step()) {
  }
  ASSERT_EQ(serving.batch.ended.size(), 1u);
  EXPECT_TRUE(serving.batch.ended[0].was_running);
  EXPECT_EQ(serving.Of(id).tokens.size(), 3u);
  EXPECT_EQ(serving.pool.num_used(), 0);
  serving.ExpectFakeContinuations();
}

// Rule 2.
TEST(ScheduleStepTest, ABetterPriorityTakesThePlaceOfARunningRequest) {
  Serving serving({.scheduler = {.max_num_seqs = 2}});
  const uint64_t first = serving.Submit({.prompt = FakePrompt(4, 1), .max_tokens = 10});
  const uint64_t second = serving.Submit({.prompt = FakePrompt(4, 2), .max_tokens = 10});
  serving.Step();
  const uint64_t equal = serving.Submit({.prompt = FakePrompt(4, 3), .max_tokens = 10});
  serving.Step();
  EXPECT_EQ(serving.NumRun(equal), 0) << "the same priority waits its turn";
  EXPECT_EQ(serving.batch.waits_for, WaitReason::kPlaces);
  const uint64_t urgent =
      serving.Submit({.prompt = FakePrompt(4, 4), .max_tokens = 10, .priority = -1});
  serving.Step();
  EXPECT_EQ(serving.NumRun(urgent), 4);
  EXPECT_EQ(serving.NumRun(first), 1);
  EXPECT_EQ(serving.NumRun(second), 0) << "the newest of the lowest priority gave way";
  EXPECT_EQ(serving.scheduler.counters().preemptions, 1u);
  ASSERT_EQ(serving.batch.preempted.size(), 1u);
  EXPECT_EQ(serving.batch.preempted[0].request, RequestId{second});
  EXPECT_TRUE(serving.batch.preempted[0].for_priority);
  EXPECT_EQ(serving.batch.first_priority, 0);
  serving.RunUntilIdle();
  EXPECT_EQ(serving.batch.waits_for, WaitReason::kNone);
  serving.ExpectFakeContinuations();
  EXPECT_LT(serving.Of(second).num_steps, 12) << "it found its blocks again";
  EXPECT_EQ(serving.scheduler.counters().prefix_query_tokens, 16u) << "counted once a request";
}

TEST(ScheduleStepTest, ABetterPriorityTakesTheBlocksOfRunningRequests) {
  Serving serving({.num_blocks = 8, .block_size = 4});
  const uint64_t first = serving.Submit({.prompt = FakePrompt(12, 1), .max_tokens = 3});
  const uint64_t second =
      serving.Submit({.prompt = FakePrompt(12, 2), .max_tokens = 3, .priority = 1});
  serving.Step();
  const uint64_t urgent =
      serving.Submit({.prompt = FakePrompt(12, 3), .max_tokens = 3, .priority = -1});
  serving.Step();
  EXPECT_EQ(serving.NumRun(urgent), 12);
  EXPECT_EQ(serving.NumRun(first), 1);
  EXPECT_EQ(serving.NumRun(second), 0);
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

// Ten blocks: the first holds six of them and will not give way, so the second urgent request,
// which needs seven, would gain nothing from the two of the third.
TEST(ScheduleStepTest, NobodyGivesWayToOneWhoWouldNotFitEvenThen) {
  Serving serving({.num_blocks = 10, .block_size = 4});
  const uint64_t first =
      serving.Submit({.prompt = FakePrompt(23, 1), .max_tokens = 4, .priority = -1});
  const uint64_t ordinary = serving.Submit({.prompt = FakePrompt(6, 2), .max_tokens = 20});
  serving.Step();
  const uint64_t second =
      serving.Submit({.prompt = FakePrompt(27, 3), .max_tokens = 3, .priority = -1});
  while (serving.Of(first).end == EndReason::kNone) {
    EXPECT_GT(serving.NumRun(ordinary), 0);
    EXPECT_EQ(serving.NumRun(second), 0);
    ASSERT_TRUE(serving.Step());
  }
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

// Rule 3.
TEST(ScheduleStepTest, DecodesRunEveryStepWhileALongPromptIsComputed) {
  Serving serving(
      {.num_blocks = 200, .scheduler = {.max_num_seqs = 8, .max_num_batched_tokens = 16}});
  std::vector<uint64_t> decoding;
  for (int i = 0; i < 4; ++i) {
    decoding.push_back(serving.Submit({.prompt = FakePrompt(2, i), .max_tokens = 100}));
  }
  serving.Step();
  const uint64_t prompt = serving.Submit({.prompt = FakePrompt(300, 9), .max_tokens = 2});
  int num_prefill_steps = 0;
  while (serving.Of(prompt).tokens.empty()) {
    serving.Step();
    ++num_prefill_steps;
    for (const uint64_t id : decoding) ASSERT_EQ(serving.NumRun(id), 1);
    ASSERT_EQ(serving.NumRun(prompt), std::min(12, 300 - 12 * (num_prefill_steps - 1)));
  }
  EXPECT_EQ(num_prefill_steps, 25);
}

TEST(ScheduleStepTest, TheNewestOfTheLowestPriorityIsPreempted) {
  Serving serving({.num_blocks = 9, .block_size = 4});
  const uint64_t low =
      serving.Submit({.prompt = FakePrompt(8, 1), .max_tokens = 13, .priority = 1});
  const uint64_t old = serving.Submit({.prompt = FakePrompt(8, 2), .max_tokens = 13});
  const uint64_t young = serving.Submit({.prompt = FakePrompt(8, 3), .max_tokens = 13});
  while (serving.scheduler.counters().preemptions == 0) ASSERT_TRUE(serving.Step());
  ASSERT_EQ(serving.batch.preempted.size(), 1u);
  EXPECT_EQ(serving.batch.preempted[0].request, RequestId{low});
  EXPECT_FALSE(serving.batch.preempted[0].for_priority);
  EXPECT_EQ(serving.NumRun(low), 0);
  EXPECT_EQ(serving.NumRun(old), 1);
  EXPECT_EQ(serving.NumRun(young), 1);
  while (serving.scheduler.counters().preemptions == 1) ASSERT_TRUE(serving.Step());
  EXPECT_EQ(serving.NumRun(young), 0);
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

// Rule 4. With a budget of 16 a long prompt takes 12 while another wants to start, and all 16
// alone.
TEST(ScheduleStepTest, ALongPromptLeavesRoomForAShortOne) {
  Serving serving(
      {.num_blocks = 100, .scheduler = {.max_num_seqs = 4, .max_num_batched_tokens = 16}});
  const uint64_t lengthy = serving.Submit({.prompt = FakePrompt(100, 1), .max_tokens = 2});
  const uint64_t brief = serving.Submit({.prompt = FakePrompt(6, 2), .max_tokens = 2});
  serving.Step();
  EXPECT_EQ(serving.NumRun(lengthy), 12);
  EXPECT_EQ(serving.NumRun(brief), 4);
  serving.Step();
  EXPECT_EQ(serving.NumRun(brief), 2);
  EXPECT_EQ(serving.NumRun(lengthy), 14);
  serving.Step();
  EXPECT_EQ(serving.NumRun(brief), 1);
  EXPECT_EQ(serving.NumRun(lengthy), 15);
  serving.Step();
  EXPECT_EQ(serving.NumRun(lengthy), 16);
}

TEST(ScheduleStepTest, SeveralPromptsShareAStep) {
  Serving serving({.scheduler = {.max_num_seqs = 8, .max_num_batched_tokens = 32}});
  for (int i = 0; i < 4; ++i) serving.Submit({.prompt = FakePrompt(8, i), .max_tokens = 2});
  serving.Step();
  EXPECT_EQ(serving.batch.sequences.size(), 4u);
  EXPECT_EQ(serving.batch.num_tokens, 32);
}

TEST(ScheduleStepTest, TheFirstThatDoesNotFitHoldsUpThoseBehindIt) {
  Serving serving({.num_blocks = 8, .block_size = 4});
  serving.Submit({.prompt = FakePrompt(16, 1), .max_tokens = 4});
  const uint64_t big = serving.Submit({.prompt = FakePrompt(20, 2), .max_tokens = 2});
  const uint64_t small = serving.Submit({.prompt = FakePrompt(2, 3), .max_tokens = 2});
  serving.Step();
  EXPECT_EQ(serving.batch.sequences.size(), 1u);
  EXPECT_EQ(serving.batch.waits_for, WaitReason::kBlocks);
  while (serving.NumRun(big) == 0) {
    EXPECT_EQ(serving.NumRun(small), 0);
    ASSERT_TRUE(serving.Step());
  }
  serving.RunUntilIdle();
}

// Six blocks: a running sequence holds three and will want a fourth, so a prompt of three must
// wait.
TEST(ScheduleStepTest, AdmissionLeavesABlockForEveryRunningSequence) {
  Serving serving({.num_blocks = 6, .block_size = 4});
  const uint64_t first = serving.Submit({.prompt = FakePrompt(11, 1), .max_tokens = 4});
  const uint64_t second = serving.Submit({.prompt = FakePrompt(11, 2), .max_tokens = 4});
  serving.Step();
  EXPECT_EQ(serving.NumRun(first), 11);
  EXPECT_EQ(serving.NumRun(second), 0);
  serving.RunUntilIdle();
  EXPECT_EQ(serving.scheduler.counters().preemptions, 0u);
}

// The optional wait for company before a first batch.
TEST(ScheduleStepTest, AFirstBatchWaitsToFill) {
  Serving serving({.scheduler = {.max_num_seqs = 3, .batch_wait = milliseconds(10)}});
  const TimePoint start = serving.now;
  serving.Submit({.prompt = FakePrompt(4), .max_tokens = 3});
  EXPECT_FALSE(serving.Step());
  EXPECT_EQ(serving.batch.wait_until, start + milliseconds(10));
  EXPECT_EQ(serving.batch.waits_for, WaitReason::kWindow);
  serving.Submit({.prompt = FakePrompt(5), .max_tokens = 3});
  EXPECT_FALSE(serving.Step());
  EXPECT_EQ(serving.batch.wait_until, start + milliseconds(10)) << "the oldest decides";
  serving.now = start + milliseconds(9);
  EXPECT_TRUE(serving.Step());
  EXPECT_EQ(serving.batch.sequences.size(), 2u);
  const uint64_t late = serving.Submit({.prompt = FakePrompt(6), .max_tokens = 3});
  serving.Step();
  EXPECT_GT(serving.NumRun(late), 0) << "while others run nobody waits";
}

TEST(ScheduleStepTest, AFullFirstBatchDoesNotWaitAndADeadlineIsNotSleptThrough) {
  Serving serving({.scheduler = {.max_num_seqs = 2, .batch_wait = milliseconds(10)}});
  serving.Submit({.prompt = FakePrompt(4), .deadline = serving.now + milliseconds(6)});
  EXPECT_FALSE(serving.Step());
  EXPECT_EQ(serving.batch.wait_until, TimePoint(milliseconds(6)));
  serving.Submit({.prompt = FakePrompt(4), .max_tokens = 1});
  EXPECT_TRUE(serving.Step());
  EXPECT_EQ(serving.batch.sequences.size(), 2u);
}

TEST(ScheduleStepTest, WhatHasBegunIsNotHeldBack) {
  Serving serving(
      {.num_blocks = 8, .block_size = 4, .scheduler = {.batch_wait = milliseconds(50)}});
  serving.Submit({.prompt = FakePrompt(4, 1), .max_tokens = 22});
  serving.now += milliseconds(50);
  ASSERT_TRUE(serving.Step());
  const uint64_t young = serving.Submit({.prompt = FakePrompt(8, 2), .max_tokens = 20});
  while (serving.scheduler.counters().preemptions == 0) ASSERT_TRUE(serving.Step());
  while (serving.NumRun(young) == 0) ASSERT_TRUE(serving.Step()) << "everyone waits for company";
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

TEST(ScheduleStepTest, WithNothingToDoItWaitsForMessages) {
  Serving serving({});
  EXPECT_FALSE(serving.Step());
  EXPECT_EQ(serving.batch.wait_until, kNoDeadline);
}

class DraftRules : public ::testing::Test {
 protected:
  // Starts num_sequences that decode.
  void Decode(int num_sequences) {
    for (int i = 0; i < num_sequences; ++i) {
      ids_.push_back(serving_.Submit({.prompt = FakePrompt(3, i), .max_tokens = 12}));
    }
    serving_.Step();
  }
  std::vector<DraftLimit> Limits(int num_draft, int num_catch_up = 0) {
    std::vector<DraftLimit> limits;
    for (Sequence* each : serving_.scheduler.Running()) {
      limits.push_back({each, num_draft, num_catch_up});
    }
    return limits;
  }
  // Schedules without running: what was granted.
  Batch Grant(const std::vector<DraftLimit>& limits) {
    return serving_.scheduler.Schedule(serving_.now, limits);
  }

  Serving serving_{{.num_blocks = 12,
                    .block_size = 4,
                    .prefix_cache = false,
                    .scheduler = {.max_num_seqs = 4,
                                  .max_num_batched_tokens = 20,
                                  .max_logit_rows = 10,
                                  .max_context = 60}}};
  std::vector<uint64_t> ids_;
};

// Rule 5.
TEST_F(DraftRules, DraftsTakeWhatIsLeftOfTheLogitRows) {
  Decode(2);
  const Batch batch = Grant(Limits(6));
  ASSERT_EQ(batch.sequences.size(), 2u);
  EXPECT_EQ(batch.sequences[0].num_draft, 6);
  EXPECT_EQ(batch.sequences[0].num_tokens, 7);
  EXPECT_EQ(batch.sequences[1].num_draft, 2);  // 10 rows: 1 + 6, 1 + 2
}

TEST_F(DraftRules, APromptIsNotDelayedByDrafts) {
  Decode(2);
  const uint64_t prompt = serving_.Submit({.prompt = FakePrompt(18, 5), .max_tokens = 2});
  Batch batch = Grant(Limits(6));
  ASSERT_EQ(batch.sequences.size(), 3u);
  EXPECT_EQ(batch.sequences[2].sequence->request(), RequestId{prompt});
  EXPECT_EQ(batch.sequences[2].num_tokens, 18);
  EXPECT_EQ(batch.sequences[0].num_draft + batch.sequences[1].num_draft, 0);
}

// The draft policy decides before Schedule and must know what prefills will take.
TEST_F(DraftRules, TheForecastIsWhatPrefillsWillTake) {
  Decode(2);
  EXPECT_EQ(serving_.scheduler.ForecastPrefill().num_tokens, 0);
  serving_.Submit({.prompt = FakePrompt(11, 8), .max_tokens = 2});
  EXPECT_EQ(serving_.scheduler.ForecastPrefill().num_tokens, 11);
  EXPECT_EQ(serving_.scheduler.ForecastPrefill().num_context, 11);
  serving_.Submit({.prompt = FakePrompt(10, 9), .max_tokens = 2});
  EXPECT_EQ(serving_.scheduler.ForecastPrefill().num_tokens, 18) << "what the decodes leave";
  serving_.Step();  // two tokens, then 11 and 7 rows
  EXPECT_EQ(serving_.NumRun(ids_[1] + 2), 7);
  const PrefillForecast rest = serving_.scheduler.ForecastPrefill();
  EXPECT_EQ(rest.num_tokens, 3);
  EXPECT_EQ(rest.num_context, 10);
  serving_.RunUntilIdle();
}

TEST_F(DraftRules, TheForecastPassesOverWhoHasNoPlaceOrBlocks) {
  Decode(4);  // every place is taken
  serving_.Submit({.prompt = FakePrompt(5, 8), .max_tokens = 2});
  EXPECT_EQ(serving_.scheduler.ForecastPrefill().num_tokens, 0);
  Serving full({.num_blocks = 6, .scheduler = {.max_num_seqs = 4}});
  full.Submit({.prompt = FakePrompt(14), .max_tokens = 3});
  full.Step();
  full.Submit({.prompt = FakePrompt(7, 1), .max_tokens = 2});  // two blocks are free, one reserved
  EXPECT_EQ(full.scheduler.ForecastPrefill().num_tokens, 0);
  full.RunUntilIdle();
  serving_.RunUntilIdle();
}

TEST_F(DraftRules, AWishHoldsForOneStep) {
  Decode(1);
  serving_.Step(Limits(2));
  EXPECT_GT(serving_.last_run[Serving::Key(ids_[0], 0)].num_draft, 0);
  serving_.Step();
  EXPECT_EQ(serving_.last_run[Serving::Key(ids_[0], 0)].num_draft, 0);
}

TEST_F(DraftRules, ADraftNeverPassesTheLastTokenARequestMayHave) {
  Decode(1);
  for (int i = 0; i < 8; ++i) serving_.Step();  // nine of twelve
  const Batch batch = Grant(Limits(6));
  EXPECT_EQ(batch.sequences[0].num_draft, 2);
}

TEST_F(DraftRules, CatchingUpCountsAgainstTheBudgetAndComesFirst) {
  Decode(2);
  const Batch batch = Grant(Limits(4, 9));  // 20 tokens: 2 decodes, 9 + 4, then 5 of the second's 9
  EXPECT_EQ(batch.sequences[0].num_catch_up, 9);
  EXPECT_EQ(batch.sequences[0].num_draft, 4);
  EXPECT_EQ(batch.sequences[1].num_catch_up, 5);
  EXPECT_EQ(batch.sequences[1].num_draft, 0) << "a draft model that is behind has nothing to say";
  EXPECT_EQ(batch.num_tokens, 20);
}

// 12 blocks of 4; four sequences of 3 + 1 tokens hold one each, eight are free.
TEST_F(DraftRules, DraftsPreemptNobodyAndGiveTheirBlocksBack) {
  Decode(4);
  serving_.runner.set_draft_quality(0);
  for (int i = 0; i < 7; ++i) {
    serving_.Step(Limits(5));
    serving_.scheduler.CheckIntegrity();  // no table is longer than its tokens
  }
  EXPECT_EQ(serving_.scheduler.counters().preemptions, 0u);
  EXPECT_EQ(serving_.scheduler.num_running(), 4);
  serving_.RunUntilIdle();
  serving_.ExpectFakeContinuations();
}

TEST(ScheduleStepTest, AWishOfBeforeAPreemptionIsForgotten) {
  Serving serving({.scheduler = {.max_num_seqs = 1}});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(4), .max_tokens = 10});
  serving.Step();
  const uint64_t urgent = serving.Submit({.prompt = FakePrompt(4), .priority = -1});
  const DraftLimit limit = {serving.scheduler.Running()[0], 3, 0};
  serving.Step(std::span(&limit, 1));
  ASSERT_EQ(serving.NumRun(id), 0);
  serving.scheduler.Cancel(RequestId{urgent});
  serving.Step();
  EXPECT_EQ(serving.last_run[Serving::Key(id, 0)].num_draft, 0);
  serving.RunUntilIdle();
}

// Rule 6. The sequence fills the whole cache, is preempted for a seventeenth token, and cannot come
// back.
TEST(ScheduleStepTest, WhatCannotRunEvenAloneFails) {
  Serving serving({.num_blocks = 4, .block_size = 4});
  const uint64_t big = serving.Submit({.prompt = FakePrompt(14), .max_tokens = 10});
  const uint64_t small = serving.Submit({.prompt = FakePrompt(4), .max_tokens = 2});
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(big).end, EndReason::kFailed);
  EXPECT_EQ(serving.Of(big).tokens.size(), 3u);
  EXPECT_EQ(serving.Of(small).end, EndReason::kLength);
  serving.ExpectFakeContinuations();
}

TEST(ScheduleStepTest, BlocksKeptForWaitingChoicesMakeNobodyFail) {
  Serving serving({.num_blocks = 6, .block_size = 4, .scheduler = {.max_num_seqs = 1}});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(11), .num_choices = 2, .max_tokens = 1});
  serving.Step();
  const uint64_t urgent =
      serving.Submit({.prompt = FakePrompt(20, 1), .max_tokens = 2, .priority = -1});
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(urgent).end, EndReason::kLength);
  EXPECT_EQ(serving.Of(id, 1).end, EndReason::kLength);
}

// Choice 0 is over and choice 1 waits behind an urgent request, which comes to need the prompt's
// three blocks:
//
//   [u][u][u][ prompt ]  ->  [u][u][u][u][u][u]
TEST(ScheduleStepTest, BlocksKeptForWaitingChoicesAreGivenUpBeforeAnyoneIsPreempted) {
  Serving serving(
      {.num_blocks = 6, .block_size = 4, .prefix_cache = false, .scheduler = {.max_num_seqs = 1}});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(11), .num_choices = 2, .max_tokens = 1});
  serving.Step();
  EXPECT_EQ(serving.pool.num_used(), 3);
  const uint64_t urgent =
      serving.Submit({.prompt = FakePrompt(8), .max_tokens = 16, .priority = -1});
  while (serving.Of(urgent).end == EndReason::kNone) ASSERT_TRUE(serving.Step());
  EXPECT_EQ(serving.scheduler.counters().preemptions, 0u);
  serving.Step();
  EXPECT_EQ(serving.NumRun(id, 1), 11) << "the prompt is computed again";
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

}  // namespace
}  // namespace runahead
