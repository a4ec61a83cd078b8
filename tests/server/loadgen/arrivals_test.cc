#include "server/loadgen/arrivals.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

constexpr int kNumGaps = 200'000;
constexpr double kRate = 40;

std::vector<double> Gaps(double burstiness, uint64_t seed = 7) {
  Arrivals arrivals({.rate = kRate, .burstiness = burstiness, .seed = seed});
  std::vector<double> gaps(kNumGaps);
  for (double& gap : gaps) gap = arrivals.NextGap();
  return gaps;
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Variance(const std::vector<double>& values) {
  const double mean = Mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(values.size() - 1);
}

class GammaTest : public testing::TestWithParam<double> {};

// Of n gamma gaps of shape k the mean has the standard error m / sqrt(k n), and the variance
// (excess kurtosis 6 / k) v sqrt(2 / (n - 1) + 6 / (k n)). Five of them are missed once in two
// million.
TEST_P(GammaTest, MeanAndVarianceAreThoseAskedFor) {
  const double shape = GetParam();
  const std::vector<double> gaps = Gaps(shape);
  const double mean = 1 / kRate;
  const double variance = mean * mean / shape;
  const double n = kNumGaps;
  EXPECT_NEAR(Mean(gaps), mean, 5 * mean / std::sqrt(shape * n));
  EXPECT_NEAR(Variance(gaps), variance, 5 * variance * std::sqrt(2 / (n - 1) + 6 / (shape * n)));
  EXPECT_GE(*std::ranges::min_element(gaps), 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, GammaTest, testing::Values(0.25, 0.5, 1.0, 2.0, 10.0));

// Massart's bound for the distance of an empirical distribution from its own: it exceeds
// sqrt(ln(2 / a) / (2 n)) with probability a at most; here a is one in a million.
TEST(ArrivalsTest, GapsOfBurstinessOneAreExponential) {
  std::vector<double> gaps = Gaps(1);
  std::ranges::sort(gaps);
  double distance = 0;
  for (size_t i = 0; i < gaps.size(); ++i) {
    const double expected = 1 - std::exp(-kRate * gaps[i]);
    const double below = static_cast<double>(i) / kNumGaps;
    distance = std::max({distance, expected - below, below + 1.0 / kNumGaps - expected});
  }
  EXPECT_LT(distance, std::sqrt(std::log(2e6) / (2.0 * kNumGaps)));
}

// Shape 1 drawn the general way is the exponential distribution too: near 1, the two meet.
TEST(ArrivalsTest, ShapesNearOneAreNearlyExponential) {
  for (const double shape : {0.999, 1.001}) {
    std::vector<double> gaps = Gaps(shape);
    std::ranges::sort(gaps);
    double distance = 0;
    for (size_t i = 0; i < gaps.size(); ++i) {
      const double expected = 1 - std::exp(-kRate * gaps[i]);
      distance = std::max(distance, std::abs(expected - static_cast<double>(i) / kNumGaps));
    }
    // As above, and the thousandth by which the shapes differ.
    EXPECT_LT(distance, std::sqrt(std::log(2e6) / (2.0 * kNumGaps)) + 1e-3) << shape;
  }
}

TEST(ArrivalsTest, InfiniteBurstinessIsEven) {
  Arrivals arrivals({.rate = 4, .burstiness = std::numeric_limits<double>::infinity()});
  for (int i = 0; i < 3; ++i) EXPECT_DOUBLE_EQ(arrivals.NextGap(), 0.25);
}

TEST(ArrivalsTest, SeedsDecide) {
  EXPECT_EQ(Gaps(0.5, 1), Gaps(0.5, 1));
  EXPECT_NE(Gaps(0.5, 1), Gaps(0.5, 2));
}

}  // namespace
}  // namespace runahead
