// What becomes of a request: Add, Apply, Cancel, Finish, and the account of its blocks.
#include "scheduler/scheduler.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"

#include "tests/scheduler/serving.h"

namespace runahead {
namespace {

TEST(SchedulerTest, ServesARequestToItsLastToken) {
  Serving serving({});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(10), .max_tokens = 5});
  EXPECT_EQ(serving.scheduler.num_waiting(), 1);
  ASSERT_TRUE(serving.Step());
  EXPECT_EQ(serving.NumRun(id), 10);
  EXPECT_EQ(serving.Of(id).tokens.size(), 1u);
  EXPECT_EQ(serving.scheduler.num_running(), 1);
  EXPECT_EQ(serving.scheduler.num_waiting(), 0);
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(id).end, EndReason::kLength);
  EXPECT_EQ(serving.num_steps, 5);
  serving.ExpectFakeContinuations();
}

TEST(SchedulerTest, StopsAtAStopIdWhichIsTheLastToken) {
  RequestSpec spec = {.prompt = FakePrompt(10), .max_tokens = 20};
  const std::vector<int32_t> says = FakeRunner::Continue(spec, 0, 2048);
  spec.stop_ids = {says[6]};
  const auto expected = static_cast<size_t>(std::ranges::find(says, says[6]) - says.begin()) + 1;
  Serving serving({});
  const uint64_t id = serving.Submit(spec);
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(id).end, EndReason::kStop);
  EXPECT_EQ(serving.Of(id).stop_token, says[6]);
  EXPECT_EQ(serving.Of(id).tokens.size(), expected);
  serving.ExpectFakeContinuations();
}

TEST(SchedulerTest, NoStopIdEndsAChoiceBeforeMinTokens) {
  RequestSpec spec = {.prompt = FakePrompt(10), .max_tokens = 20, .min_tokens = 6};
  for (int32_t token = 0; token < FakeRunner::kVocabSize / 2; ++token)
    spec.stop_ids.push_back(token);
  Serving serving({});
  const uint64_t id = serving.Submit(spec);
  serving.RunUntilIdle();
  EXPECT_GT(serving.Of(id).tokens.size(), 6u);
  serving.ExpectFakeContinuations();
}

// The sampler bans them; were one to come all the same, it would be a token like any other.
TEST(SchedulerTest, AStopIdBeforeMinTokensIsATokenLikeAnyOther) {
  Serving serving({});
  const uint64_t id =
      serving.Submit({.prompt = FakePrompt(4), .max_tokens = 5, .min_tokens = 1, .stop_ids = {9}});
  const std::vector<int32_t> token_ids = {9};
  const std::vector<int32_t> offsets = {0, 1};
  for (const EndReason expected : {EndReason::kNone, EndReason::kStop}) {
    const Batch batch = serving.scheduler.Schedule(serving.now);
    const Progress progress = serving.scheduler.Apply(batch, token_ids, offsets);
    ASSERT_EQ(progress.sequences.size(), 1u);
    EXPECT_EQ(progress.sequences[0].request, RequestId{id});
    EXPECT_EQ(progress.sequences[0].end, expected);
  }
}

TEST(SchedulerTest, TheContextEndsAChoice) {
  Serving serving({.scheduler = {.max_context = 16}});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(12), .max_tokens = 100});
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(id).end, EndReason::kLength);
  EXPECT_EQ(serving.Of(id).tokens.size(), 4u);
}

TEST(SchedulerTest, RefusesAPromptThatCannotFit) {
  Serving serving({.num_blocks = 4, .block_size = 4, .scheduler = {.max_context = 100}});
  const Status too_big = serving.scheduler.Add({.prompt = FakePrompt(17)});
  EXPECT_EQ(too_big.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(too_big.reason(), "context_length_exceeded");
  Serving roomy({.scheduler = {.max_context = 16}});
  EXPECT_FALSE(roomy.scheduler.Add({.id = RequestId{1}, .prompt = FakePrompt(16)}).ok());
  EXPECT_TRUE(roomy.scheduler.Add({.id = RequestId{2}, .prompt = FakePrompt(15)}).ok());
  EXPECT_TRUE(
      roomy.scheduler.Add({.id = RequestId{3}, .prompt = FakePrompt(16), .max_tokens = 0}).ok());
  EXPECT_EQ(roomy.scheduler.num_waiting(), 2);
}

TEST(SchedulerTest, MaxTokensZeroComputesThePromptAndSaysNothing) {
  Serving serving({.scheduler = {.max_num_batched_tokens = 8, .max_logit_rows = 8}});
  const uint64_t id =
      serving.Submit({.prompt = FakePrompt(10), .max_tokens = 0, .looks_up_prefix = false});
  serving.RunUntilIdle();
  EXPECT_EQ(serving.num_steps, 2);
  EXPECT_EQ(serving.Of(id).end, EndReason::kLength);
  EXPECT_TRUE(serving.Of(id).tokens.empty());
}

TEST(SchedulerTest, ASecondRequestTakesThePrefixFromTheCache) {
  Serving serving({});
  serving.Submit({.prompt = FakePrompt(21), .max_tokens = 2});
  serving.RunUntilIdle();
  const uint64_t second = serving.Submit({.prompt = FakePrompt(21), .max_tokens = 2});
  serving.Step();
  EXPECT_EQ(serving.NumRun(second), 1);
  EXPECT_EQ(serving.Of(second).num_cached_tokens, 20);
  EXPECT_EQ(serving.scheduler.counters().prefix_query_tokens, 42u);
  EXPECT_EQ(serving.scheduler.counters().prefix_hit_tokens, 20u);
  const uint64_t salted =
      serving.Submit({.prompt = FakePrompt(21), .max_tokens = 2, .cache_salt = "alice"});
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(salted).num_cached_tokens, 0);
  serving.ExpectFakeContinuations();
}

// The output of a turn is found again by the next turn of the conversation, which repeats it as
// prompt.
TEST(SchedulerTest, GeneratedTokensArePublishedToo) {
  Serving serving({});
  const uint64_t first = serving.Submit({.prompt = FakePrompt(8), .max_tokens = 9});
  serving.RunUntilIdle();
  std::vector<int32_t> next = FakePrompt(8);
  const std::vector<int32_t>& said = serving.Of(first).tokens;
  next.insert(next.end(), said.begin(), said.end());
  next.push_back(1);
  const uint64_t second = serving.Submit({.prompt = next, .max_tokens = 1});
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(second).num_cached_tokens, 16);
}

TEST(SchedulerTest, PromptLogprobsPublishButLookNothingUp) {
  Serving serving({});
  for (const bool looks_up : {false, false, true}) {
    const uint64_t id =
        serving.Submit({.prompt = FakePrompt(21), .max_tokens = 1, .looks_up_prefix = looks_up});
    serving.RunUntilIdle();
    EXPECT_EQ(serving.Of(id).num_cached_tokens, looks_up ? 20 : 0);
  }
  EXPECT_EQ(serving.scheduler.counters().prefix_query_tokens, 21u);
}

// n = 3 over a prompt of 10 tokens in blocks of 4 (two full, one partial):
//
//   choice 0   [p0..p3][p4..p7][p8 p9 |  .. ]
//   choice 1      "       "    [p8 p9 |  .. ]   copied, p9 run again
//   choice 2      "       "    [p8 p9 |  .. ]
TEST(SchedulerTest, ChoicesShareThePromptAndCopyItsEnd) {
  for (const bool prefix_cache : {true, false}) {
    Serving serving({.prefix_cache = prefix_cache});
    const uint64_t id =
        serving.Submit({.prompt = FakePrompt(10), .num_choices = 3, .max_tokens = 8});
    EXPECT_EQ(serving.scheduler.num_waiting_sequences(), 3);
    serving.Step();
    EXPECT_EQ(serving.scheduler.num_running_sequences(), 1);
    EXPECT_EQ(serving.scheduler.num_waiting_sequences(), 2);
    serving.Step();
    EXPECT_EQ(serving.batch.copy_from.size(), 2u);
    EXPECT_EQ(serving.NumRun(id, 1), 1);
    EXPECT_EQ(serving.NumRun(id, 2), 1);
    EXPECT_EQ(serving.pool.num_used(), 5);
    const Sequence& first = *serving.scheduler.Running()[0];
    EXPECT_EQ(serving.pool.num_refs(first.block_table().block(0)), 3);
    EXPECT_EQ(serving.pool.num_refs(first.block_table().block(2)), 1) << "the copies are made";
    EXPECT_EQ(serving.scheduler.num_running(), 1) << "three sequences are one request";
    EXPECT_EQ(serving.scheduler.num_running_sequences(), 3);
    EXPECT_EQ(serving.scheduler.num_waiting(), 0);
    serving.scheduler.CheckIntegrity();
    serving.RunUntilIdle();
    serving.ExpectFakeContinuations();
    EXPECT_NE(serving.Of(id, 0).tokens, serving.Of(id, 1).tokens);
    EXPECT_NE(serving.Of(id, 1).tokens, serving.Of(id, 2).tokens);
  }
}

// Choice 0 is gone before there is room for the others; they still need not compute the prompt.
TEST(SchedulerTest, ChoicesInheritThePromptOfOneThatHasEnded) {
  Serving serving({.prefix_cache = false, .scheduler = {.max_num_seqs = 1}});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(10), .num_choices = 4, .max_tokens = 1});
  for (int choice = 0; choice < 4; ++choice) {
    serving.Step();
    EXPECT_EQ(serving.NumRun(id, choice), choice == 0 ? 10 : 1);
    serving.scheduler.CheckIntegrity();
  }
  EXPECT_TRUE(serving.scheduler.idle());
  EXPECT_EQ(serving.pool.num_used(), 0);
  serving.ExpectFakeContinuations();
}

TEST(SchedulerTest, ChoicesGoOnWhenTheFirstIsFinishedBeforeItsPromptIsDone) {
  Serving serving({.scheduler = {.max_num_seqs = 4, .max_num_batched_tokens = 4}});
  const uint64_t id = serving.Submit({.prompt = FakePrompt(10), .num_choices = 2, .max_tokens = 3});
  serving.Step();
  const RemovedRequest removed = serving.scheduler.Finish(RequestId{id}, 0, 0);
  EXPECT_TRUE(removed.found);
  EXPECT_FALSE(removed.request_ended);
  serving.RunUntilIdle();
  EXPECT_EQ(serving.Of(id, 1).end, EndReason::kLength);
}

TEST(SchedulerTest, ThePromptIsKeptOnlyForChoicesThatWillBegin) {
  Serving serving({.prefix_cache = false, .scheduler = {.max_num_seqs = 1}});
  const uint64_t id =
      serving.Submit({.prompt = FakePrompt(11), .num_choices = 3, .max_tokens = 20});
  serving.Step();
  serving.Submit({.prompt = FakePrompt(4), .max_tokens = 20, .priority = -1});
  serving.Step();  // choice 0 is preempted; its prompt is kept for the others
  EXPECT_EQ(serving.pool.num_used(), 3 + 1);
  serving.scheduler.Finish(RequestId{id}, 1, 0);
  EXPECT_EQ(serving.pool.num_used(), 3 + 1);
  serving.scheduler.Finish(RequestId{id}, 2, 0);
  EXPECT_EQ(serving.pool.num_used(), 1);
  serving.RunUntilIdle();
}

TEST(SchedulerTest, CancelEndsEveryChoiceAtOnce) {
  Serving serving({});
  const uint64_t id =
      serving.Submit({.prompt = FakePrompt(10), .num_choices = 3, .max_tokens = 50});
  const uint64_t waiting = serving.Submit({.prompt = FakePrompt(10), .max_tokens = 50});
  const RemovedRequest early = serving.scheduler.Cancel(RequestId{waiting});
  EXPECT_TRUE(early.found && early.request_ended);
  EXPECT_FALSE(early.was_running);
  serving.Step();
  serving.Step();
  const RemovedRequest late = serving.scheduler.Cancel(RequestId{id});
  EXPECT_TRUE(late.found && late.was_running && late.request_ended);
  EXPECT_TRUE(serving.scheduler.idle());
  EXPECT_EQ(serving.pool.num_used(), 0);
  EXPECT_FALSE(serving.scheduler.Cancel(RequestId{id}).found);
  EXPECT_FALSE(serving.Step());
  serving.scheduler.CheckIntegrity();
}

TEST(SchedulerTest, FinishCountsWhatRanPastTheStopString) {
  Serving serving({});
  const uint64_t id =
      serving.Submit({.prompt = FakePrompt(10), .num_choices = 2, .max_tokens = 50});
  for (int i = 0; i < 7; ++i) serving.Step();
  RemovedRequest removed = serving.scheduler.Finish(RequestId{id}, 0, 4);
  EXPECT_TRUE(removed.found && removed.was_running);
  EXPECT_FALSE(removed.request_ended);
  EXPECT_EQ(serving.scheduler.counters().discarded_tokens, 3u);
  EXPECT_FALSE(serving.scheduler.Finish(RequestId{id}, 0, 4).found);
  removed = serving.scheduler.Finish(RequestId{id}, 1, 6);
  EXPECT_TRUE(removed.request_ended);
  EXPECT_EQ(serving.scheduler.counters().discarded_tokens, 3u);
  EXPECT_EQ(serving.pool.num_used(), 0);
}

//   drafts     x1 x2 x3 x4        all right, but the stop id is x2: x1 x2 are emitted, x3 x4 and
//   the bonus are not
TEST(SchedulerTest, AStopInsideAnAcceptedRunCutsItThere) {
  RequestSpec spec = {.prompt = FakePrompt(10), .max_tokens = 20};
  const std::vector<int32_t> says = FakeRunner::Continue(spec, 0, 2048);
  size_t last = 2;  // first token that has not occurred before it, so that it stops nothing earlier
  while (std::find(says.begin(), says.begin() + static_cast<std::ptrdiff_t>(last), says[last]) !=
         says.begin() + static_cast<std::ptrdiff_t>(last)) {
    ++last;
  }
  spec.stop_ids = {says[last]};
  Serving serving({.seed = 3});
  serving.runner.set_draft_quality(100);
  const uint64_t id = serving.Submit(spec);
  serving.Step();
  while (serving.Of(id).end == EndReason::kNone) {
    Sequence* sequence = serving.scheduler.Running()[0];
    const int num_behind = sequence->num_tokens() - 1 - sequence->num_computed(CacheModel::kDraft);
    const DraftLimit limit = {sequence, 8, num_behind};
    serving.Step(std::span(&limit, 1));
  }
  EXPECT_EQ(serving.Of(id).end, EndReason::kStop);
  EXPECT_EQ(serving.Of(id).tokens.size(), last + 1);
  EXPECT_GT(serving.scheduler.counters().discarded_tokens, 0u);
  EXPECT_LT(serving.num_steps, static_cast<int>(last) + 1);
  serving.ExpectFakeContinuations();
}

// A request whose draft K/V is complete leaves it to whoever takes its blocks over.
TEST(SchedulerTest, APrefixHitServesEachModelForWhatItHas) {
  Serving serving({});
  serving.Submit({.prompt = FakePrompt(20), .max_tokens = 4});
  serving.Step();
  Sequence* sequence = serving.scheduler.Running()[0];
  EXPECT_EQ(sequence->num_computed(CacheModel::kDraft), 0);
  const DraftLimit limit = {sequence, 0, 10};  // ten tokens of catch-up
  serving.Step(std::span(&limit, 1));
  EXPECT_EQ(sequence->num_computed(CacheModel::kDraft), 10);
  const uint64_t second = serving.Submit({.prompt = FakePrompt(20), .max_tokens = 4});
  serving.Step();
  const auto running = serving.scheduler.Running();
  ASSERT_EQ(running.size(), 2u);
  EXPECT_EQ(serving.NumRun(second), 4);  // the target hits four blocks of five
  EXPECT_EQ(running[1]->num_computed(CacheModel::kDraft), 10);
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

//   choice 0   [ full ][ full ][ own .. ]      catches up on eight tokens and more
//   choice 1      "       "    [ own .. ]      has the eight for nothing
TEST(SchedulerTest, SharersTakeOverWhatTheDraftModelHasRunForOne) {
  Serving serving({});
  serving.Submit({.prompt = FakePrompt(10), .num_choices = 2, .max_tokens = 30});
  for (int i = 0; i < 3; ++i) serving.Step();
  const auto running = serving.scheduler.Running();
  ASSERT_EQ(running.size(), 2u);
  const DraftLimit limit = {running[0], 0, 9};
  serving.Step(std::span(&limit, 1));
  EXPECT_EQ(running[0]->num_computed(CacheModel::kDraft), 9);
  EXPECT_EQ(running[1]->num_computed(CacheModel::kDraft), 8);
  serving.scheduler.CheckIntegrity();
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
}

// Optimisations are switches that change no token: prefix cache x chunk x pool x drafts, against
// the model's own word.
class Equivalence : public ::testing::TestWithParam<std::tuple<bool, int, int, int>> {};

TEST_P(Equivalence, EveryWayOfServingSaysTheSame) {
  const auto [prefix_cache, max_num_batched_tokens, num_blocks, num_draft] = GetParam();
  Serving serving(
      {.num_blocks = num_blocks,
       .prefix_cache = prefix_cache,
       .scheduler = {.max_num_seqs = 6, .max_num_batched_tokens = max_num_batched_tokens}});
  for (int i = 0; i < 12; ++i) {
    serving.Submit({.prompt = FakePrompt(3 + 5 * (i % 5), i % 2),
                    .num_choices = 1 + i % 3,
                    .max_tokens = 6 + i,
                    .stop_ids = {5, 6}});
  }
  while (!serving.scheduler.idle() && serving.num_steps < 5000) {
    std::vector<DraftLimit> limits;
    for (Sequence* sequence : serving.scheduler.Running()) {
      const int num_behind =
          sequence->num_tokens() - 1 - sequence->num_computed(CacheModel::kDraft);
      limits.push_back({sequence, num_draft, num_draft > 0 ? num_behind : 0});
    }
    serving.Step(limits);
  }
  serving.RunUntilIdle();
  serving.ExpectFakeContinuations();
  EXPECT_EQ(serving.served.size(), 24u);
  EXPECT_EQ(serving.scheduler.counters().preemptions > 0, num_blocks < 20);
}

INSTANTIATE_TEST_SUITE_P(Switches, Equivalence,
                         ::testing::Combine(::testing::Bool(), ::testing::Values(6, 7, 40, 512),
                                            ::testing::Values(15, 64), ::testing::Values(0, 1, 5)));

}  // namespace
}  // namespace runahead
