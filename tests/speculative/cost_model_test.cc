#include "speculative/cost_model.h"

#include <chrono>

#include "gtest/gtest.h"

namespace runahead {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

TEST(CostModel, KeepsTargetAndDraftApart) {
  CostModel costs;
  EXPECT_FALSE(costs.knows_target());
  costs.ObserveTarget(4, 0, milliseconds(100));
  costs.ObserveDraft({.num_rows = 4, .num_sequences = 4, .time = milliseconds(10)});
  EXPECT_DOUBLE_EQ(costs.TargetSeconds(4, 0), 0.1);
  EXPECT_DOUBLE_EQ(costs.DraftSeconds(4, 0), 0.01);
}

TEST(CostModel, GuessesADraftModelNobodyMeasured) {
  CostModel costs;
  costs.SeedTarget(1, 0, milliseconds(100));
  EXPECT_FALSE(costs.knows_draft());
  EXPECT_DOUBLE_EQ(costs.DraftSeconds(1, 0),
                   CostModel::kUnknownDraftShare * costs.TargetSeconds(1, 0));
  costs.SeedDraft(1, 0, milliseconds(20));
  EXPECT_TRUE(costs.knows_draft());
  EXPECT_NEAR(costs.DraftSeconds(1, 0), 0.02, 0.005);
}

TEST(CostModel, IgnoresStepsWithoutRows) {
  CostModel costs;
  costs.ObserveTarget(0, 0, milliseconds(100));
  costs.ObserveDraft({});
  EXPECT_FALSE(costs.knows_target());
  EXPECT_FALSE(costs.knows_draft());
}

// A row beside a long prefill costs what rows cost on average there, however the two row counts
// next to it were measured.
TEST(CostModel, PricesARowAmongManyByTheSlope) {
  CostModel costs;
  for (int i = 0; i < 5; ++i) {
    costs.ObserveTarget(512, 0, std::chrono::seconds(10));
    costs.ObserveTarget(1020, 0, std::chrono::seconds(20));
    costs.ObserveTarget(1028, 0, std::chrono::seconds(22));
  }
  EXPECT_NEAR(costs.TargetRowSeconds(1024, 0), 0.02, 0.004);
}

void Observe(CostModel& costs, int num_rows, double seconds, int times = 1) {
  for (int i = 0; i < times; ++i) {
    costs.ObserveTarget(num_rows, 0, duration_cast<Duration>(duration<double>(seconds)));
  }
}

TEST(CostModel, MovesAllWhenTheMachineChanges) {
  CostModel costs;
  costs.SeedDraft(1, 0, milliseconds(100));
  Observe(costs, 2, 1.0, 10);
  Observe(costs, 8, 1.2, 10);
  const double draft = costs.DraftSeconds(1, 0);
  Observe(costs, 2, 2.0, 8);
  EXPECT_NEAR(costs.TargetSeconds(2, 0), 2.0, 0.1);
  EXPECT_NEAR(costs.TargetSeconds(8, 0), 2.4, 0.15);
  EXPECT_NEAR(costs.DraftSeconds(1, 0), 2 * draft, 0.02);
  Observe(costs, 2, 1.0, 8);
  EXPECT_NEAR(costs.TargetSeconds(8, 0), 1.2, 0.1);
}

// Its first passes took twice as long, as others ran beside; 16 rows, seen in between, did not.
TEST(CostModel, MovesNoneThatAreSeenAndStayed) {
  CostModel costs;
  Observe(costs, 32, 4.0, 10);
  Observe(costs, 16, 2.0, 10);
  Observe(costs, 8, 2.0, 5);
  for (int i = 0; i < 20; ++i) {
    Observe(costs, 16, 2.0);
    Observe(costs, 8, 1.0);
  }
  EXPECT_NEAR(costs.TargetSeconds(16, 0) / costs.TargetSeconds(8, 0), 2, 0.1);
  EXPECT_NEAR(costs.TargetSeconds(32, 0) / costs.TargetSeconds(16, 0), 2, 0.2);
}

// A neighbour comes and goes; what was first run while it was there is no dearer for that.
TEST(CostModel, CountsNoWeatherAsWhatRowsCost) {
  CostModel costs;
  const auto draft = [&](double seconds) {
    costs.ObserveDraft({.num_rows = 8,
                        .num_sequences = 8,
                        .time = duration_cast<Duration>(duration<double>(seconds))});
  };
  for (int i = 0; i < 20; ++i) {
    draft(0.1);
    Observe(costs, 8, 1.0);
  }
  for (int i = 0; i < 5; ++i) {
    for (int pass = 0; pass < 3; ++pass) draft(0.15);
    Observe(costs, 16, 3.0);
  }
  EXPECT_NEAR(costs.TargetSeconds(16, 0) / costs.TargetSeconds(8, 0), 2, 0.15);
}

}  // namespace
}  // namespace runahead
