#include "speculative/cost_model.h"

#include <chrono>

#include "gtest/gtest.h"

namespace runahead {
namespace {

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

}  // namespace
}  // namespace runahead
