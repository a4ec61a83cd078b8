#include "engine/sequence_run.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "kvcache/block_pool.h"
#include "kvcache/prefix_cache.h"
#include "scheduler/scheduler.h"

namespace runahead {
namespace {

// A scheduler of its own gives real sequences: a prompt of 10 tokens run in chunks of 4, 4 and 2.
class SequenceRunTest : public testing::Test {
 protected:
  SequenceRunTest() {
    request_.request = std::make_unique<Request>();
    request_.request->sampling.num_prompt_logprobs = 0;
    request_.choices.resize(1);
  }

  void Add(int min_tokens = 0) {
    RequestSpec spec;
    spec.id = RequestId{1};
    spec.prompt = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    spec.max_tokens = 5;
    spec.min_tokens = min_tokens;
    spec.stop_ids = {3, 4};
    ASSERT_TRUE(scheduler_.Add(spec).ok());
  }
  const ScheduledSequence& Schedule() {
    batch_ = scheduler_.Schedule(TimePoint());
    return batch_.sequences.at(0);
  }
  void Apply(std::vector<int32_t> tokens = {}) {
    const std::vector<int32_t> offsets = {0, static_cast<int32_t>(tokens.size())};
    scheduler_.Apply(batch_, tokens, offsets);
  }

  BlockPool pool_{16, 4};
  PrefixCache cache_{pool_, true};
  Scheduler scheduler_{{.max_num_seqs = 1, .max_num_batched_tokens = 4}, pool_, cache_};
  Batch batch_;
  ActiveRequest request_;
};

TEST_F(SequenceRunTest, AChunkKnowsThePromptTokenAfterIt) {
  Add();
  const SequenceRun run = RunOf(Schedule(), request_);
  EXPECT_EQ(std::vector<int32_t>(run.tokens.begin(), run.tokens.end()),
            (std::vector<int32_t>{10, 11, 12, 13}));
  EXPECT_EQ(run.num_computed, 0);
  EXPECT_FALSE(run.wants_token);
  EXPECT_TRUE(run.wants_prompt_logprobs);
  EXPECT_EQ(run.next_prompt_token, 14);
  EXPECT_GE(run.block_table.size(), 1u);  // covers the run
}

TEST_F(SequenceRunTest, TheLastChunkWantsATokenAndThenDecodes) {
  Add(/*min_tokens=*/2);
  for (int chunk = 0; chunk < 2; ++chunk) {
    Schedule();
    Apply();
  }
  SequenceRun run = RunOf(Schedule(), request_);
  EXPECT_EQ(run.tokens.size(), 2u);
  EXPECT_TRUE(run.wants_token);
  EXPECT_EQ(run.next_prompt_token, -1);
  EXPECT_EQ(run.num_suppressed_rows, 1);
  EXPECT_EQ(run.suppressed.size(), 2u);
  EXPECT_EQ(run.sampling, &request_.request->sampling);
  Apply({20});

  request_.num_prompt_logprobs = 9;  // all there are
  run = RunOf(Schedule(), request_);
  EXPECT_EQ(run.tokens.size(), 1u);
  EXPECT_EQ(run.tokens[0], 20);
  EXPECT_EQ(run.num_computed, 10);
  EXPECT_FALSE(run.wants_prompt_logprobs);
  EXPECT_EQ(run.output.size(), 1u);
  EXPECT_EQ(run.prompt.size(), 10u);
  Apply({21});

  run = RunOf(Schedule(), request_);
  EXPECT_EQ(run.num_suppressed_rows, 0);
  EXPECT_TRUE(run.suppressed.empty());
  Apply({22});
}

std::vector<PositionLogprobs> Rows(int32_t first_token, int count) {
  std::vector<PositionLogprobs> rows(static_cast<size_t>(count));
  for (PositionLogprobs& row : rows) row.chosen.token = first_token++;
  return rows;
}

TEST_F(SequenceRunTest, PromptLogprobsAreTakenOnceAndInOrder) {
  Add();
  TakePromptLogprobs(Schedule(), Rows(11, 4), request_);
  EXPECT_EQ(request_.num_prompt_logprobs, 4);
  TakePromptLogprobs(batch_.sequences[0], Rows(11, 4), request_);  // as after a preemption
  EXPECT_EQ(request_.num_prompt_logprobs, 4);
  Apply();
  TakePromptLogprobs(Schedule(), Rows(15, 4), request_);
  Apply();
  TakePromptLogprobs(Schedule(), Rows(19, 2), request_);  // the second judged no prompt token
  Apply({20});
  ASSERT_EQ(request_.prompt_logprobs.size(), 9u);
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(request_.prompt_logprobs[static_cast<size_t>(i)].chosen.token, 11 + i);
  }
}

// What a drafter is given holds for every token it may propose, and for the one behind them.
TEST_F(SequenceRunTest, ADraftersRunSaysWhatItsProposalsMayBe) {
  Add(4);
  for (int chunk = 0; chunk < 2; ++chunk) {
    Schedule();
    Apply();
  }
  Schedule();
  Apply({5});
  ScheduledSequence scheduled = Schedule();
  scheduled.num_draft = 1;
  const SequenceRun run = DraftRunOf(scheduled, request_);
  EXPECT_EQ(run.num_suppressed_rows, 2);  // of three tokens still before min_tokens
  EXPECT_EQ(run.suppressed.size(), 2u);
  EXPECT_EQ(run.output.size(), 1u);
  EXPECT_EQ(run.prompt.size(), 10u);
  EXPECT_EQ(run.counts, &request_.choices[0].token_counts);
  EXPECT_EQ(run.sampling, &request_.request->sampling);
  EXPECT_EQ(run.block_table.size(), 3u);
  EXPECT_TRUE(run.tokens.empty()) << "the drafter's to fill";
  Apply({6});
}

}  // namespace
}  // namespace runahead
