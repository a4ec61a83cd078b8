#include "speculative/cost_curve.h"

#include <algorithm>
#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

void Observe(CostCurve& curve, int num_rows, double seconds, int times = 1, int64_t context = 0) {
  for (int i = 0; i < times; ++i) curve.Observe(num_rows, context, seconds);
}

TEST(CostCurve, KnowsNothingAtFirst) {
  const CostCurve curve;
  EXPECT_TRUE(curve.empty());
  EXPECT_EQ(curve.At(3, 0), 0);
  EXPECT_EQ(curve.num_observed(3), 0);
}

TEST(CostCurve, JoinsNearKnotsStraight) {
  CostCurve curve;
  Observe(curve, 10, 1.0);
  Observe(curve, 14, 2.0);
  EXPECT_DOUBLE_EQ(curve.At(10, 0), 1.0);
  EXPECT_DOUBLE_EQ(curve.At(12, 0), 1.5);
  EXPECT_DOUBLE_EQ(curve.At(14, 0), 2.0);
}

// One row and 128 rows were seen: as on a roofline, rows in between are free for long.
TEST(CostCurve, JoinsFarKnotsNearTheRoofline) {
  CostCurve curve;
  Observe(curve, 1, 1.0);
  Observe(curve, 128, 8.0);
  EXPECT_LT(curve.At(8, 0), 1.2);
  EXPECT_GT(curve.At(64, 0), 3.9);
}

TEST(CostCurve, GrowsBeyondTheLastKnot) {
  CostCurve curve;
  Observe(curve, 16, 1.0);
  Observe(curve, 32, 2.0);
  EXPECT_NEAR(curve.At(64, 0), 4.0, 1e-9);
}

TEST(CostCurve, IsNotMovedBySingleSpikes) {
  CostCurve curve;
  Observe(curve, 4, 1.0, 20);
  Observe(curve, 4, 50.0);
  Observe(curve, 4, 1.0);
  Observe(curve, 4, 50.0);
  EXPECT_NEAR(curve.At(4, 0), 1.0, 1e-9);
}

TEST(CostCurve, FollowsALastingChangeWithinAFewPasses) {
  CostCurve curve;
  Observe(curve, 4, 1.0, 100);
  Observe(curve, 4, 2.0, 6);
  EXPECT_NEAR(curve.At(4, 0), 2.0, 0.1);
}

TEST(CostCurve, SaysFewerRowsTakeHardlyMoreTime) {
  CostCurve curve;
  Observe(curve, 4, 1.2, 5);
  Observe(curve, 5, 1.0, 5);
  Observe(curve, 6, 1.3, 5);
  EXPECT_LE(curve.At(4, 0), 1.06);
  EXPECT_DOUBLE_EQ(curve.At(5, 0), 1.0);
}

// What was seen once, or long ago, gives way to what is known.
TEST(CostCurve, KeepsTheUncertainBetweenTheCertain) {
  CostCurve curve;
  Observe(curve, 4, 1.0, 5);
  Observe(curve, 5, 9.0);
  Observe(curve, 6, 0.1);
  Observe(curve, 7, 1.5, 5);
  EXPECT_DOUBLE_EQ(curve.At(5, 0), 1.5);
  EXPECT_DOUBLE_EQ(curve.At(6, 0), 1.5);
}

// A busy machine: passes a quarter longer or shorter than others of their rows, and every tenth
// thrice as long.
TEST(CostCurve, StaysNearTheMedianInHeavyNoise) {
  std::mt19937 random(3);
  std::lognormal_distribution<double> noise(0, 0.25);
  CostCurve curve;
  double most = 0;
  double least = 1e9;
  for (int i = 0; i < 400; ++i) {
    const int rows = i % 3 == 0 ? 8 : i % 3 == 1 ? 16 : 12;
    Observe(curve, rows, rows * noise(random) * (i % 10 == 9 ? 3 : 1));
    if (i < 30) continue;
    for (const int n : {8, 12, 16}) {
      most = std::max(most, curve.At(n, 0) / n);
      least = std::min(least, curve.At(n, 0) / n);
    }
  }
  EXPECT_LT(most, 1.5);
  EXPECT_GT(least, 0.6);
}

TEST(CostCurve, ServingOverrulesTheStart) {
  CostCurve curve;
  curve.Seed(8, 0, 5.0);
  Observe(curve, 8, 1.0);
  EXPECT_DOUBLE_EQ(curve.At(8, 0), 1.0);
  curve.Seed(8, 0, 7.0);  // too late
  EXPECT_DOUBLE_EQ(curve.At(8, 0), 1.0);
}

// A start-up measurement is taken for cheaper than it says, less so the better others proved.
TEST(CostCurve, TrustsTheStartAsFarAsItProvedRight) {
  CostCurve curve;
  curve.Seed(1, 0, 1.0);
  curve.Seed(2, 0, 1.0);
  curve.Seed(16, 0, 2.0);
  EXPECT_DOUBLE_EQ(curve.At(16, 0), 2.0 * (1 - CostCurve::kFirstDoubt));
  Observe(curve, 1, 1.0);
  Observe(curve, 2, 1.0);
  EXPECT_GT(curve.At(16, 0), 1.8);
  EXPECT_LE(curve.At(16, 0), 2.0);
}

TEST(CostCurve, LearnsWhatContextCosts) {
  CostCurve curve;
  for (int i = 0; i < 400; ++i) {
    const int64_t context = 200 * (i % 16);
    Observe(curve, 1, 1.0 + 1e-4 * static_cast<double>(context), 1, context);
  }
  EXPECT_NEAR(curve.At(1, 3000) - curve.At(1, 0), 0.3, 0.06);
  EXPECT_NEAR(curve.At(1, 1500), 1.15, 0.05);
}

// Prefills of 2 000 rows take 100 s, give or take 5 %, with any context: decodes do not.
TEST(CostCurve, TakesNoNoiseOfLongPassesForContext) {
  CostCurve curve;
  std::mt19937 random(1);
  std::normal_distribution<double> noise(1, 0.05);
  for (int i = 0; i < 40; ++i) {
    Observe(curve, 32, 2.0, 4, 4000);
    Observe(curve, 2000, 100 * noise(random), 1, 2000 + 1000 * (i % 5));
  }
  EXPECT_NEAR(curve.At(32, 8000), 2.0, 0.2);
}

TEST(CostCurve, CountsPassesAndTheirAge) {
  CostCurve curve;
  Observe(curve, 5, 1.0, 2);
  Observe(curve, 9, 1.0, 3);
  EXPECT_EQ(curve.num_observed(5), 2);
  EXPECT_EQ(curve.age(5), 3);
  EXPECT_EQ(curve.age(9), 0);
}

TEST(CostCurve, TakesAnyNumberOfRows) {
  CostCurve curve;
  for (const int rows : {1, 32, 33, 63, 64, 4095, 4096, 100000}) Observe(curve, rows, rows);
  EXPECT_EQ(curve.num_observed(33), 1);
  EXPECT_GT(curve.At(50000, 0), curve.At(4000, 0));
}

}  // namespace
}  // namespace runahead
