#include "engine/step_ledger.h"

#include <chrono>
#include <memory>

#include <gtest/gtest.h>

namespace runahead {
namespace {

using std::chrono::milliseconds;

const TimePoint kStart = TimePoint(std::chrono::seconds(1));

ActiveRequest ServedRequest() {
  ActiveRequest request;
  request.request = std::make_unique<Request>();
  request.request->max_tokens = 20;
  request.request->num_choices = 2;
  request.num_prompt_tokens = 10;
  request.num_cached_tokens = 4;
  request.timings = {kStart, kStart + milliseconds(1), kStart + milliseconds(3)};
  request.choices.resize(2);
  request.choices[0].num_tokens = 5;
  request.choices[0].last_token = kStart + milliseconds(11);
  request.choices[1].num_tokens = 1;
  request.choices[1].last_token = kStart + milliseconds(3);
  return request;
}

TEST(StepLedger, NothingIsSeenBeforeCommitAndNothingTwice) {
  Metrics metrics;
  StepLedger ledger;
  ledger.CountGenerated(3);
  ledger.CountDiscarded(1);
  EXPECT_EQ(metrics.Snapshot().generated_tokens, 0u);
  ledger.Commit({}, metrics);
  ledger.Commit({}, metrics);
  EXPECT_EQ(metrics.Snapshot().generated_tokens, 3u);
  EXPECT_EQ(metrics.Snapshot().discarded_tokens, 1u);
}

TEST(StepLedger, ALifeOfARequest) {
  Metrics metrics;
  StepLedger ledger;
  const ActiveRequest request = ServedRequest();
  metrics.CountSubmitted();
  ledger.CountAdmitted();
  ledger.CountScheduled(request);
  ledger.CountFirstToken(request);
  ledger.CountGap(milliseconds(8), 4);
  ledger.CountFirstGap(2);
  ledger.CountOutcome(request, FinishReason::kStop, RequestPhase::kRunning,
                      kStart + milliseconds(12));
  ledger.Commit({}, metrics);
  const MetricsSnapshot counts = metrics.Snapshot();
  EXPECT_TRUE(counts.Reconciles());
  EXPECT_EQ(counts.finished_stop, 1u);
  EXPECT_EQ(counts.prompt_tokens, 10u);
  EXPECT_EQ(counts.cached_prompt_tokens, 4u);
  EXPECT_DOUBLE_EQ(counts.queue_seconds.sum, 0.001);
  EXPECT_DOUBLE_EQ(counts.prefill_seconds.sum, 0.002);
  EXPECT_DOUBLE_EQ(counts.ttft_seconds.sum, 0.003);
  EXPECT_EQ(counts.inter_token_seconds.count, 6u);  // four tokens share the gap, two had none
  EXPECT_DOUBLE_EQ(counts.inter_token_seconds.sum, 0.008);
  EXPECT_EQ(counts.inter_chunk_seconds.count, 1u);
  EXPECT_DOUBLE_EQ(counts.inter_chunk_seconds.sum, 0.008);
  EXPECT_DOUBLE_EQ(counts.decode_seconds.sum, 0.008);
  EXPECT_DOUBLE_EQ(counts.inference_seconds.sum, 0.010);
  EXPECT_DOUBLE_EQ(counts.token_seconds.sum, 0.002);
  EXPECT_DOUBLE_EQ(counts.e2e_seconds.sum, 0.012);
  EXPECT_DOUBLE_EQ(counts.request_generated_tokens.sum, 6.0);
  EXPECT_DOUBLE_EQ(counts.request_longest_tokens.sum, 5.0);
  EXPECT_DOUBLE_EQ(counts.request_computed_tokens.sum, 6.0);
  EXPECT_DOUBLE_EQ(counts.request_max_tokens.sum, 20.0);
  EXPECT_DOUBLE_EQ(counts.request_choices.sum, 2.0);
}

TEST(StepLedger, DroppedRequestsCountByPhaseAndLeaveNoLatency) {
  Metrics metrics;
  StepLedger ledger;
  const ActiveRequest request = ServedRequest();
  ledger.CountOutcome(request, FinishReason::kCancelled, RequestPhase::kQueued, kStart);
  ledger.CountOutcome(request, FinishReason::kExpired, RequestPhase::kRunning, kStart);
  ledger.CountOutcome(request, FinishReason::kFailed, RequestPhase::kRunning, kStart);
  ledger.Commit({}, metrics);
  const MetricsSnapshot counts = metrics.Snapshot();
  EXPECT_EQ(counts.cancelled[static_cast<size_t>(RequestPhase::kQueued)], 1u);
  EXPECT_EQ(counts.expired[static_cast<size_t>(RequestPhase::kRunning)], 1u);
  EXPECT_EQ(counts.failed, 1u);
  EXPECT_EQ(counts.e2e_seconds.count, 0u);
}

TEST(StepLedger, GaugesAreSetAndStepsObserved) {
  Metrics metrics;
  StepLedger ledger;
  ledger.CountStep(3, 17, milliseconds(5), milliseconds(1));
  ledger.Commit({.waiting = 2, .running = 3, .num_blocks = 9, .used_blocks = 4}, metrics);
  ledger.Commit({.waiting = 1, .running = 1, .num_blocks = 9}, metrics);
  const MetricsSnapshot counts = metrics.Snapshot();
  EXPECT_EQ(counts.waiting, 1u);
  EXPECT_EQ(counts.running, 1u);
  EXPECT_EQ(counts.used_blocks, 0);
  EXPECT_EQ(counts.steps, 1u);
  EXPECT_DOUBLE_EQ(counts.batch_sequences.sum, 3.0);
  EXPECT_DOUBLE_EQ(counts.batch_tokens.sum, 17.0);
  EXPECT_DOUBLE_EQ(counts.step_seconds.sum, 0.005);
  EXPECT_DOUBLE_EQ(counts.host_seconds.sum, 0.001);
}

TEST(StepLedger, DraftsAreCountedByDrafterAndPosition) {
  Metrics metrics;
  StepLedger ledger;
  ledger.CountDraft({DrafterKind::kNgram, 4, 2});
  ledger.CountDraft({DrafterKind::kNgram, 1, 1});
  ledger.CountDraft({DrafterKind::kModel, 16, 0});
  for (const int num_emitted : {3, 2, 1}) ledger.CountRun(num_emitted);
  ledger.CountCatchUp(7);
  ledger.CountDrafting(milliseconds(2));
  ledger.CountVerifying(milliseconds(5));
  ledger.Commit({.draft_length = 7,
                 .speculation_loss_seconds = -1.5,
                 .speculation_booked_seconds = 9,
                 .speculation_rests = true},
                metrics);
  EXPECT_DOUBLE_EQ(metrics.Snapshot().speculation_loss_seconds, -1.5);
  EXPECT_DOUBLE_EQ(metrics.Snapshot().speculation_booked_seconds, 9);
  ledger.Commit({}, metrics);
  const MetricsSnapshot counts = metrics.Snapshot();
  const DrafterCounts& ngram = counts.drafters[static_cast<size_t>(DrafterKind::kNgram)];
  EXPECT_EQ(ngram.drafts, 2u);
  EXPECT_EQ(ngram.drafted_tokens, 5u);
  EXPECT_EQ(ngram.accepted_tokens, 3u);
  EXPECT_EQ(ngram.drafted_at[0], 2u);
  EXPECT_EQ(ngram.drafted_at[3], 1u);
  EXPECT_EQ(ngram.drafted_at[4], 0u);
  EXPECT_EQ(ngram.accepted_at[0], 2u);
  EXPECT_EQ(ngram.accepted_at[1], 1u);
  EXPECT_EQ(ngram.accepted_at[2], 0u);
  EXPECT_EQ(ngram.accepted_length.count, 2u);
  EXPECT_DOUBLE_EQ(ngram.accepted_length.sum, 3.0);
  EXPECT_EQ(counts.drafters[static_cast<size_t>(DrafterKind::kModel)].drafted_at[15], 1u);
  EXPECT_DOUBLE_EQ(counts.tokens_per_run.sum, 6.0);
  EXPECT_EQ(counts.draft_catch_up_tokens, 7u);
  EXPECT_DOUBLE_EQ(counts.draft_seconds.sum, 0.002);
  EXPECT_DOUBLE_EQ(counts.verify_seconds.sum, 0.005);
  EXPECT_EQ(counts.draft_length, 0) << "the last commit's";
  EXPECT_FALSE(counts.speculation_rests);
}

}  // namespace
}  // namespace runahead
