#include "engine/metrics.h"

#include <algorithm>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TEST(HistogramCounts, ABoundBelongsToItsBucket) {
  const std::vector<double> bounds = {1, 2, 5};
  HistogramCounts histogram{bounds};
  for (const double value : {0.5, 1.0, 1.5, 2.0, 5.0, 5.1}) histogram.Observe(value);
  EXPECT_EQ(histogram.buckets, (std::vector<uint64_t>{2, 2, 1, 1}));
  EXPECT_EQ(histogram.count, 6u);
  EXPECT_DOUBLE_EQ(histogram.sum, 15.1);
}

TEST(HistogramCounts, ObservesOneValueManyTimes) {
  const std::vector<double> bounds = {1};
  HistogramCounts histogram{bounds};
  histogram.Observe(0.25, 4);
  histogram.Observe(3, 0);
  EXPECT_EQ(histogram.buckets, (std::vector<uint64_t>{4, 0}));
  EXPECT_EQ(histogram.count, 4u);
  EXPECT_DOUBLE_EQ(histogram.sum, 1.0);
}

TEST(MetricsSnapshot, LatenciesResolveAMillisecond) {
  const MetricsSnapshot snapshot;
  for (const HistogramCounts* histogram :
       {&snapshot.queue_seconds, &snapshot.prefill_seconds, &snapshot.decode_seconds,
        &snapshot.ttft_seconds, &snapshot.inter_token_seconds, &snapshot.e2e_seconds,
        &snapshot.step_seconds}) {
    EXPECT_TRUE(std::is_sorted(histogram->bounds.begin(), histogram->bounds.end()));
    EXPECT_LE(histogram->bounds.front(), 0.001);
    EXPECT_TRUE(std::count(histogram->bounds.begin(), histogram->bounds.end(), 0.002));
  }
  EXPECT_TRUE(std::count(snapshot.host_seconds.bounds.begin(), snapshot.host_seconds.bounds.end(),
                         1.5e-4));  // the budget is a bound, so one bucket count shows it
}

TEST(MetricsSnapshot, EveryPlaceCountsOnce) {
  MetricsSnapshot snapshot;
  uint64_t* const places[] = {
      &snapshot.finished_stop, &snapshot.finished_length, &snapshot.failed,
      &snapshot.waiting,       &snapshot.running,         &snapshot.cancelled[0],
      &snapshot.cancelled[1],  &snapshot.expired[0],      &snapshot.expired[1],
      &snapshot.rejected[0],   &snapshot.rejected.back()};
  for (uint64_t* place : places) {
    EXPECT_TRUE(snapshot.Reconciles());
    ++*place;
    EXPECT_FALSE(snapshot.Reconciles());
    ++snapshot.received;
  }
  EXPECT_TRUE(snapshot.Reconciles());
}

TEST(Metrics, ASubmittedRequestWaitsUntilAdmitted) {
  Metrics metrics;
  metrics.CountSubmitted();
  metrics.CountSubmitted();
  EXPECT_EQ(metrics.Snapshot().waiting, 2u);
  EXPECT_TRUE(metrics.Snapshot().Reconciles());

  metrics.Update([](MetricsSnapshot& counts) {
    counts.admitted = 1;
    counts.running = 1;
  });
  const MetricsSnapshot snapshot = metrics.Snapshot();
  EXPECT_EQ(snapshot.waiting, 1u);
  EXPECT_EQ(snapshot.running, 1u);
  EXPECT_TRUE(snapshot.Reconciles());
}

TEST(Metrics, SnapshotsAreConsistentWhileOthersCount) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 2000;
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < kRounds; ++i) {
        metrics.CountRejected(RejectReason::kQueueFull);
        metrics.CountSubmitted();
        metrics.Update([](MetricsSnapshot& counts) {
          ++counts.admitted;
          ++counts.finished_stop;
        });
      }
    });
  }
  uint64_t last = 0;
  while (last < 2 * kThreads * kRounds) {
    const MetricsSnapshot snapshot = metrics.Snapshot();
    ASSERT_TRUE(snapshot.Reconciles());
    ASSERT_GE(snapshot.received, last);
    last = snapshot.received;
  }
  for (std::thread& thread : threads) thread.join();
  const MetricsSnapshot end = metrics.Snapshot();
  EXPECT_EQ(end.waiting, 0u);
  EXPECT_EQ(end.rejected[static_cast<size_t>(RejectReason::kQueueFull)], kThreads * kRounds);
}

}  // namespace
}  // namespace runahead
