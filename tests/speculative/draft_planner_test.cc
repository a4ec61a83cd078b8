#include "speculative/draft_planner.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;
using ::testing::Each;
using ::testing::ElementsAre;

DraftSource Source(float rate, bool is_model, int num_drafts = kMaxDrafts) {
  DraftSource source = {.drafter = is_model ? DrafterKind::kModel : DrafterKind::kNgram,
                        .is_model = is_model,
                        .num_drafts = num_drafts};
  float survival = 1;
  for (float& s : source.survival) s = survival *= rate;
  return source;
}

// One second up to eight rows, then another eighth for each; a draft pass takes a tenth.
CostModel Costs() {
  CostModel costs;
  for (int rows = 1; rows <= 64; ++rows) {
    const auto seconds = duration<double>(rows <= 8 ? 1.0 : rows / 8.0);
    costs.ObserveTarget(rows, 0, duration_cast<Duration>(seconds));
    costs.ObserveDraft({.num_rows = rows, .time = duration_cast<Duration>(seconds / 10)});
  }
  return costs;
}

class DraftPlannerTest : public ::testing::Test {
 protected:
  DraftPlan Plan(const std::vector<DraftSource>& sources, int max_tokens = 1000) {
    const int count = static_cast<int>(sources.size());
    terms_.costs = &costs_;
    terms_.num_sequences = count;
    terms_.num_rows = count;
    terms_.plain_seconds = costs_.TargetSeconds(count, 0);
    terms_.max_tokens = max_tokens;
    terms_.are_proven = true;
    return planner_.Plan(terms_, sources, num_drafts_);
  }

  CostModel costs_ = Costs();
  DraftPlanner planner_;
  PlanTerms terms_ = {.max_loss = std::numeric_limits<double>::infinity()};
  std::vector<int> num_drafts_;
};

// Of all k of one sequence, the shortest within 1 % of the best, by brute force.
TEST_F(DraftPlannerTest, FindsTheBestDepthOfOneSequence) {
  for (const float rate : {0.05F, 0.3F, 0.5F, 0.7F, 0.9F, 0.99F}) {
    const DraftSource source = Source(rate, true);
    std::vector<double> rates = {1 / costs_.TargetSeconds(1, 0)};
    double tokens = 1;
    for (int k = 1; k <= kMaxDrafts; ++k) {
      tokens += static_cast<double>(source.survival[static_cast<size_t>(k) - 1]);
      const double seconds = costs_.TargetSeconds(1 + k, 0) + k * costs_.DraftSeconds(1, 0);
      rates.push_back(tokens / seconds);
    }
    const double most = *std::ranges::max_element(rates);
    const auto shortest = std::ranges::find_if(rates, [&](double each) {
      return each == most || (each > rates[0] && each >= 0.99 * most);
    });
    const DraftPlan plan = Plan({source});
    EXPECT_EQ(num_drafts_[0], shortest - rates.begin()) << rate;
    EXPECT_NEAR(plan.tokens / plan.seconds, *shortest, 1e-6) << rate;
  }
}

TEST_F(DraftPlannerTest, PlansNothingThatDoesNotPay) {
  const DraftPlan plan = Plan({Source(0.05F, true), Source(0.08F, true)});
  EXPECT_EQ(plan.num_drafts, 0);
  EXPECT_THAT(num_drafts_, Each(0));
  EXPECT_EQ(plan.tokens, 2);
}

TEST_F(DraftPlannerTest, TakesLookupsWherePassesDoNotPay) {
  Plan({Source(0.08F, false), Source(0.08F, true)});
  EXPECT_THAT(num_drafts_, ElementsAre(1, 0));
}

TEST_F(DraftPlannerTest, GivesRowsToWhoMakesMostOfThem) {
  std::vector<DraftSource> sources(6, Source(0.3F, false));
  sources[2] = Source(0.95F, false);
  Plan(sources);
  for (size_t i = 0; i < 6; ++i) {
    if (i != 2) {
      EXPECT_GT(num_drafts_[2], num_drafts_[i]);
    }
  }
}

TEST_F(DraftPlannerTest, DraftsNothingAtABatchPastTheKnee) {
  Plan(std::vector<DraftSource>(32, Source(0.7F, true)));
  EXPECT_THAT(num_drafts_, Each(0));
}

TEST_F(DraftPlannerTest, StaysWithinItsTokens) {
  Plan({Source(0.99F, false), Source(0.99F, false)}, 5);
  EXPECT_LE(num_drafts_[0] + num_drafts_[1], 5);
  DraftSource behind = Source(0.9F, true);
  behind.num_catch_up = 30;
  Plan({behind}, 20);
  EXPECT_THAT(num_drafts_, ElementsAre(0));
}

TEST_F(DraftPlannerTest, RisksNoMoreThanItMayOnUnprovenDrafters) {
  terms_.max_loss = 0.25;
  const std::vector<DraftSource> sources = {Source(0.9F, true)};
  terms_.costs = &costs_;
  terms_.num_sequences = terms_.num_rows = 1;
  terms_.plain_seconds = 1;
  terms_.max_tokens = 100;
  planner_.Plan(terms_, sources, num_drafts_);
  EXPECT_THAT(num_drafts_, ElementsAre(2));  // two passes of a tenth
}

}  // namespace
}  // namespace runahead
