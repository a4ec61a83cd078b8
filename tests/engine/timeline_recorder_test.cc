#include "engine/timeline_recorder.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "engine/timeline_slot.h"
#include "loop_fixture.h"
#include "test_drafters.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;
using Segment = TimelineSegment;

// A loop whose steps take 10 ms each, and 1 ms of the engine's own between two of them.
//
//   turn     |<- step: 10 ms in the model ->|1|<- step ->|1|..
class TimelineTest : public ::testing::Test {
 protected:
  void Start(const EngineConfig& config, const SpeculationParts& speculation = {}) {
    loop_ = std::make_unique<TestLoop>(config, 1, speculation);
    loop_->runner.before_run = [this](std::span<const SequenceRun>) { Pass(10); };
  }
  void Pass(int ms) { loop_->clock.Advance(milliseconds(ms)); }
  void Turns(int count) {
    for (int i = 0; i < count; ++i) {
      loop_->Turn();
      Pass(1);
    }
  }

  struct Asked {
    Client client;
    std::shared_ptr<TimelineSlot> slot;
    RequestTimeline last = {};

    const RequestTimeline& Known() {
      if (auto taken = slot->Take()) last = *taken;
      EXPECT_EQ(last.total(), last.mark - last.submitted) << "the segments are no partition";
      return last;
    }
    int64_t Ms(Segment segment) { return Known().of(segment) / milliseconds(1); }
  };
  Asked Ask(Request request) {
    Asked asked;
    asked.slot = request.timeline_slot = std::make_shared<TimelineSlot>();
    asked.client = loop_->Submit(std::move(request));
    return asked;
  }
  Asked Ask(int prompt_tokens, int max_tokens, int priority = 0) {
    Request request = MakeRequest(Counting(next_first_token_ += 50, prompt_tokens), max_tokens);
    request.priority = priority;
    return Ask(std::move(request));
  }

  std::optional<FakeDraftModel> draft_model_;  // which the loop borrows to its end
  std::unique_ptr<TestLoop> loop_;
  int32_t next_first_token_ = 0;  // so that no prompt is another's prefix
};

TEST_F(TimelineTest, APromptInChunksAndItsDecodes) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_batched_tokens = 8;
  Start(config);
  Asked asked = Ask(20, 4);
  Pass(3);  // in the mailbox
  Turns(6);
  const RequestTimeline& known = asked.Known();
  EXPECT_TRUE(known.has_ended);
  EXPECT_EQ(asked.Ms(Segment::kQueueStep), 3);
  EXPECT_EQ(known.num_chunks, 3);
  EXPECT_EQ(known.chunks[0].num_tokens + known.chunks[1].num_tokens + known.chunks[2].num_tokens,
            20);
  EXPECT_EQ(known.chunks[1].at, milliseconds(3 + 11));
  EXPECT_EQ(known.chunks[1].time, milliseconds(10));
  EXPECT_EQ(known.num_prefill_tokens, 20);
  EXPECT_EQ(asked.Ms(Segment::kPrefill), 30);
  EXPECT_EQ(known.num_decode_steps, 3);
  EXPECT_EQ(asked.Ms(Segment::kDecode), 30);
  EXPECT_EQ(asked.Ms(Segment::kHost), 5);
  EXPECT_EQ(known.first_token - known.submitted, milliseconds(3 + 32));
  EXPECT_EQ(known.total(), milliseconds(3 + 6 * 10 + 5));
  EXPECT_EQ(known.num_generated_tokens, 4);
}

TEST_F(TimelineTest, WithoutASlotNothingIsWritten) {
  Start(SmallEngineConfig());
  Client client = loop_->Submit(MakeRequest(Counting(0, 8), 3));
  Turns(4);
  client.Take();
  EXPECT_EQ(client[0].tokens.size(), 3u);
}

TEST_F(TimelineTest, WhoWaitsForAPlaceWaitsForThat) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  Start(config);
  Asked first = Ask(4, 5);
  Turns(2);  // the first runs
  Asked second = Ask(4, 1);
  Pass(2);  // the step under way, as it were
  Turns(1);
  EXPECT_EQ(second.Known().state, Segment::kQueuePlaces) << "seen while it waits";
  Turns(3);
  EXPECT_TRUE(first.Known().has_ended);
  EXPECT_TRUE(second.Known().has_ended);
  EXPECT_EQ(second.Ms(Segment::kQueueStep), 2);
  EXPECT_EQ(second.Ms(Segment::kQueuePlaces), 3 * 11);
  EXPECT_EQ(second.Ms(Segment::kPrefill), 10);
  EXPECT_EQ(second.Known().num_ahead, 0);
}

TEST_F(TimelineTest, WhoWaitsForBlocksOrTokensWaitsForThose) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 8;  // of 4 tokens
  Start(config);
  Asked big = Ask(20, 4);
  Asked waits_for_blocks = Ask(16, 1);
  Turns(5);
  EXPECT_TRUE(big.Known().has_ended);
  EXPECT_EQ(waits_for_blocks.Ms(Segment::kQueueBlocks), 4 * 11);

  config = SmallEngineConfig();
  config.max_num_batched_tokens = 16;
  Start(config);
  Asked a = Ask(32, 1);
  Asked b = Ask(32, 1);
  Asked c = Ask(8, 1);
  Turns(6);
  EXPECT_TRUE(c.Known().has_ended);
  EXPECT_GT(c.Ms(Segment::kQueueTokens), 0);
  EXPECT_EQ(c.Ms(Segment::kQueueTokens) % 11, 0);
  EXPECT_EQ(c.Known().num_ahead, 2);
}

TEST_F(TimelineTest, WhoStandsBehindABetterPriorityWaitsForThat) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  Start(config);
  Asked running = Ask(4, 4, /*priority=*/-9);
  Turns(1);
  Asked late = Ask(4, 1, /*priority=*/5);
  Asked early = Ask(4, 2, /*priority=*/1);
  Turns(1);
  EXPECT_EQ(late.Known().state, Segment::kQueuePriority);
  Turns(7);
  EXPECT_TRUE(late.Known().has_ended);
  EXPECT_EQ(early.Ms(Segment::kQueuePlaces), 3 * 11);
  EXPECT_EQ(early.Ms(Segment::kQueuePriority), 0);
  EXPECT_EQ(late.Ms(Segment::kQueuePriority), 3 * 11);
  EXPECT_EQ(late.Ms(Segment::kQueuePlaces), 2 * 11);
}

TEST_F(TimelineTest, AFirstBatchThatIsHeldBackIsAWindow) {
  EngineConfig config = SmallEngineConfig();
  config.batch_wait = milliseconds(20);
  Start(config);
  Asked asked = Ask(4, 1);
  loop_->Turn();
  Pass(20);
  Turns(1);
  EXPECT_EQ(asked.Ms(Segment::kQueueWindow), 20);
  EXPECT_EQ(asked.Ms(Segment::kPrefill), 10);
}

// Two sequences that outgrow the cache together: the newer one is preempted, waits, and computes
// again what the prefix cache no longer has.
TEST_F(TimelineTest, APreemptionIsSeenWithWhatItCost) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 10;
  config.enable_prefix_cache = false;
  Start(config);
  Asked first = Ask(8, 16);
  Asked second = Ask(8, 16);
  for (int i = 0; i < 60 && !second.Known().has_ended; ++i) Turns(1);
  const RequestTimeline& known = second.Known();
  EXPECT_TRUE(first.Known().has_ended);
  EXPECT_EQ(first.Known().num_preempted_for_blocks, 0);
  ASSERT_EQ(known.num_preempted_for_blocks, 1);
  EXPECT_EQ(known.num_preempted_for_priority, 0);
  EXPECT_GT(second.Ms(Segment::kPreempted), 0);
  EXPECT_EQ(second.Ms(Segment::kRecompute), 10);
  EXPECT_GT(known.num_recomputed_tokens, 8);
  EXPECT_EQ(known.num_prefill_tokens, 8 + 1) << "the recomputed run ends with a token never run";
  EXPECT_EQ(known.num_refound_tokens, 0);
  EXPECT_EQ(second.Ms(Segment::kDecode), (16 - 1 - 1) * 10) << "one token came of each other run";
  EXPECT_EQ(second.Ms(Segment::kStalled), 0);
}

TEST_F(TimelineTest, APreemptionForPriorityIsToldApart) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  Start(config);
  Asked low = Ask(8, 8, /*priority=*/3);
  Turns(3);
  Asked high = Ask(8, 2, /*priority=*/1);
  Turns(20);
  EXPECT_EQ(low.Known().num_preempted_for_priority, 1);
  EXPECT_EQ(low.Ms(Segment::kPreempted), 1 + 2 * 11);
  EXPECT_GT(low.Known().num_refound_tokens, 0) << "its blocks were still in the prefix cache";
  EXPECT_EQ(high.Ms(Segment::kQueuePlaces), 0);
}

TEST_F(TimelineTest, CachedTokensAndBatchesAreCounted) {
  Start(SmallEngineConfig());
  Asked first = Ask(MakeRequest(Counting(0, 17), 6));
  Turns(2);
  Asked second = Ask(MakeRequest(Counting(0, 17), 2));
  Turns(8);
  EXPECT_EQ(first.Known().num_cached_tokens, 0);
  EXPECT_EQ(second.Known().num_cached_tokens, 16);
  EXPECT_EQ(second.Known().num_cached_blocks, 4);
  EXPECT_EQ(first.Known().num_decode_steps, 5);
  EXPECT_EQ(first.Known().min_batch, 1);
  EXPECT_EQ(first.Known().max_batch, 2);
  EXPECT_EQ(first.Known().sum_batch, 1 + 2 + 2 + 1 + 1);
  EXPECT_EQ(second.Known().chunks[0].num_tokens, 1);
}

// A step that computes somebody's prompt is slower for everyone in it.
TEST_F(TimelineTest, DecodesBesideAPrefillAreCounted) {
  Start(SmallEngineConfig());
  Asked first = Ask(8, 6);
  Turns(2);
  Asked second = Ask(30, 1);
  Turns(8);
  EXPECT_EQ(first.Known().num_steps_beside_prefill, 1);
  EXPECT_EQ(first.Known().time_beside_prefill, milliseconds(10));
}

TEST_F(TimelineTest, ChoicesShareOneTimeline) {
  Start(SmallEngineConfig());
  Request request = MakeRequest(Counting(0, 10), 4);
  request.num_choices = 3;
  Asked asked = Ask(std::move(request));
  Turns(10);
  const RequestTimeline& known = asked.Known();
  EXPECT_TRUE(known.has_ended);
  EXPECT_EQ(known.num_generated_tokens, 12);
  EXPECT_EQ(asked.Ms(Segment::kPrefill), 10);
  EXPECT_EQ(known.num_prefill_tokens, 10 + 1 + 1) << "further choices run the last prompt token";
  EXPECT_EQ(asked.Ms(Segment::kDecode), 4 * 10)
      << "a step in which one of them decodes is a decode";
  EXPECT_EQ(known.num_decode_steps, 4);
}

TEST_F(TimelineTest, DraftsAreCountedByDrafterAndTheirTimeApart) {
  EngineConfig config = SmallEngineConfig();
  config.speculation.drafters = {DrafterKind::kModel};
  Start(config,
        {.model = &draft_model_.emplace(config.num_blocks, config.block_size, kFakeVocab, 70)});
  Request request = MakeRequest(Counting(0, 10), 30);
  request.speculation = {SpeculationMode::kFixed, 4};
  Asked asked = Ask(std::move(request));
  Turns(40);
  const RequestTimeline& known = asked.Known();
  EXPECT_TRUE(known.has_ended);
  EXPECT_EQ(known.num_generated_tokens, 30);
  const auto& drafts = known.drafts[static_cast<size_t>(DrafterKind::kModel)];
  asked.client.Take();
  EXPECT_EQ(drafts.num_drafted, asked.client[0].num_drafted);
  EXPECT_GT(drafts.num_accepted, 0);
  EXPECT_EQ(known.num_caught_up_tokens > 0, true) << "the prompt";
  // Each step gave one token of the target's own, and its accepted drafts.
  EXPECT_EQ(1 + known.num_decode_steps + drafts.num_accepted,
            known.num_generated_tokens + known.num_discarded_tokens);
  EXPECT_EQ(drafts.num_accepted,
            static_cast<int>(std::ranges::count(asked.client[0].drafted_by, DrafterKind::kModel)) +
                known.num_discarded_tokens - 0);
}

TEST_F(TimelineTest, ACancelEndsTheTimelineWhereverTheRequestStands) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  Start(config);
  Asked running = Ask(4, 100);
  Asked waiting = Ask(4, 100);
  Turns(3);
  running.client.stream.reset();
  waiting.client.stream.reset();
  Turns(1);
  EXPECT_TRUE(running.Known().has_ended);
  EXPECT_TRUE(waiting.Known().has_ended);
  EXPECT_EQ(running.Known().total(), milliseconds(3 * 11));
  EXPECT_EQ(waiting.Ms(Segment::kQueuePlaces), 3 * 11);
  EXPECT_EQ(waiting.Known().total(), milliseconds(3 * 11));
}

TEST_F(TimelineTest, APassedDeadlineAndAFailedEngineEndItToo) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  Start(config);
  Asked running = Ask(4, 100);
  Request late = MakeRequest(Counting(500, 4), 5);
  late.deadline = loop_->clock.Now() + milliseconds(15);
  Asked expired = Ask(std::move(late));
  Turns(3);
  EXPECT_TRUE(expired.Known().has_ended);
  EXPECT_EQ(expired.Ms(Segment::kQueuePlaces), 2 * 11);
  loop_->runner.before_run = [](std::span<const SequenceRun>) { throw std::runtime_error("lost"); };
  Turns(1);
  EXPECT_TRUE(running.Known().has_ended);
}

TEST_F(TimelineTest, ARunningRequestIsKnownUpToAFewStepsAgo) {
  Start(SmallEngineConfig());
  Asked asked = Ask(4, 200);
  Turns(100);
  EXPECT_FALSE(asked.Known().has_ended);
  EXPECT_EQ(asked.Known().state, Segment::kDecode);
  EXPECT_GE(asked.Known().mark + milliseconds(220), loop_->clock.Now());
}

TEST_F(TimelineTest, TokensPastAStopStringAreDiscarded) {
  Start(SmallEngineConfig());
  Request request = MakeRequest(Counting(0, 4), 50);
  request.may_finish_early = true;
  Asked asked = Ask(std::move(request));
  Turns(6);
  asked.client.Take();
  ASSERT_EQ(asked.client[0].tokens.size(), 6u);
  asked.client.stream->Finish(0, 4);
  Turns(2);
  EXPECT_TRUE(asked.Known().has_ended);
  EXPECT_EQ(asked.Known().num_discarded_tokens, 2);
}

}  // namespace
}  // namespace runahead
