#include "engine/step_ledger.h"

#include <chrono>

#include <gtest/gtest.h>

namespace runahead {
namespace {

using std::chrono::milliseconds;

const TimePoint kStart = TimePoint(std::chrono::seconds(1));

ActiveRequest ServedRequest() {
  ActiveRequest request;
  request.num_prompt_tokens = 10;
  request.num_cached_tokens = 4;
  request.timings = {kStart, kStart + milliseconds(1), kStart + milliseconds(3)};
  request.choices.resize(1);
  request.choices[0].num_tokens = 5;
  request.choices[0].last_token = kStart + milliseconds(11);
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
  EXPECT_EQ(counts.inter_token_seconds.count, 4u);  // four tokens share the gap
  EXPECT_DOUBLE_EQ(counts.inter_token_seconds.sum, 0.008);
  EXPECT_DOUBLE_EQ(counts.decode_seconds.sum, 0.008);
  EXPECT_DOUBLE_EQ(counts.e2e_seconds.sum, 0.012);
  EXPECT_DOUBLE_EQ(counts.request_generated_tokens.sum, 5.0);
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

}  // namespace
}  // namespace runahead
