#include "server/metric_families.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

constexpr MetricInfo kCount = {"count_total", MetricKind::kCounter, "", "Counts"};
constexpr MetricInfo kLevel = {"level", MetricKind::kGauge, "", "A level"};
constexpr MetricInfo kSizes = {"sizes", MetricKind::kHistogram, "", "Sizes"};

TEST(MetricFamilies, SeriesOfOneNameStandTogether) {
  MetricFamilies out;
  out.Counter(kCount, WithLabel({}, "model", "a"), 1);
  out.Gauge(kLevel, {}, 0.5);
  out.Counter(kCount, WithLabel({}, "model", "b"), 2);
  const std::vector<prometheus::MetricFamily> families = out.Take();
  ASSERT_EQ(families.size(), 2u);
  EXPECT_EQ(families[0].name, "count_total");
  EXPECT_EQ(families[0].type, prometheus::MetricType::Counter);
  ASSERT_EQ(families[0].metric.size(), 2u);
  EXPECT_EQ(families[0].metric[1].label[0].value, "b");
  EXPECT_EQ(families[0].metric[1].counter.value, 2);
  EXPECT_EQ(families[1].type, prometheus::MetricType::Gauge);
  EXPECT_EQ(families[1].metric[0].gauge.value, 0.5);
}

TEST(MetricFamilies, BucketsAreCumulativeAndEndAtInfinity) {
  const std::vector<double> bounds = {1, 2};
  HistogramCounts counts{bounds};
  for (const double value : {0.5, 1.5, 1.6, 9.0}) counts.Observe(value);
  MetricFamilies out;
  out.Histogram(kSizes, {}, counts);
  const prometheus::ClientMetric::Histogram histogram = out.Take()[0].metric[0].histogram;
  ASSERT_EQ(histogram.bucket.size(), 3u);
  EXPECT_EQ(histogram.bucket[0].cumulative_count, 1u);
  EXPECT_EQ(histogram.bucket[1].cumulative_count, 3u);
  EXPECT_EQ(histogram.bucket[2].cumulative_count, 4u);
  EXPECT_TRUE(std::isinf(histogram.bucket[2].upper_bound));
  EXPECT_EQ(histogram.sample_count, 4u);
  EXPECT_DOUBLE_EQ(histogram.sample_sum, 12.6);
}

TEST(MetricFamilies, WithLabelLeavesTheOriginalAlone) {
  const MetricLabels one = WithLabel({}, "a", "1");
  const MetricLabels two = WithLabel(one, "b", "2");
  EXPECT_EQ(one.size(), 1u);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1].name, "b");
}

}  // namespace
}  // namespace runahead
