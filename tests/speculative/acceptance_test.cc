#include "speculative/acceptance.h"

#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(AcceptanceHistory, KnowsNothingAtFirst) {
  const AcceptanceHistory history;
  EXPECT_DOUBLE_EQ(history.RateAt(0, nullptr), AcceptanceHistory::kInitialRate);
  EXPECT_DOUBLE_EQ(history.RateAt(kMaxDrafts - 1, nullptr), AcceptanceHistory::kInitialRate);
}

TEST(AcceptanceHistory, CountsOnlyWhatWasTried) {
  AcceptanceHistory history;
  history.Observe(4, 2);  // positions 0, 1 held, 2 failed, 3 was never judged
  EXPECT_DOUBLE_EQ(history.num_trials(0), 1);
  EXPECT_DOUBLE_EQ(history.num_trials(2), 1);
  EXPECT_DOUBLE_EQ(history.num_trials(3), 0);
  EXPECT_GT(history.RateAt(1, nullptr), AcceptanceHistory::kInitialRate);
  EXPECT_LT(history.RateAt(2, nullptr), AcceptanceHistory::kInitialRate);
}

// Position 0 holds with .8, position 1 with .5 of the times it is reached: each is estimated as a
// conditional rate, within three standard errors of what the memory holds.
TEST(AcceptanceHistory, LearnsConditionalRatesByPosition) {
  AcceptanceHistory history(1000, 1);
  std::mt19937 random(1);
  std::bernoulli_distribution first(.8);
  std::bernoulli_distribution second(.5);
  for (int i = 0; i < 4000; ++i) {
    const int accepted = !first(random) ? 0 : second(random) ? 2 : 1;
    history.Observe(2, accepted);
  }
  EXPECT_NEAR(history.RateAt(0, nullptr), .8, 3 * .4 / 22);
  EXPECT_NEAR(history.RateAt(1, nullptr), .5, 3 * .5 / 20);
}

TEST(AcceptanceHistory, LeansOnThePriorUntilItHasTrialsOfItsOwn) {
  AcceptanceHistory prior;
  for (int i = 0; i < 200; ++i) prior.Observe(1, 0);
  AcceptanceHistory history;
  EXPECT_NEAR(history.RateAt(0, &prior), prior.RateAt(0, nullptr), 1e-12);
  for (int i = 0; i < 60; ++i) history.Observe(1, 1);
  EXPECT_GT(history.RateAt(0, &prior), .7);
}

TEST(AcceptanceHistory, ExpectsAWorseSequenceToBeWorseFurtherOnToo) {
  AcceptanceHistory prior;
  for (int i = 0; i < 400; ++i) prior.Observe(2, i % 10 == 0 ? 1 : 2);
  AcceptanceHistory worse;
  for (int i = 0; i < 40; ++i) worse.Observe(1, i % 2);
  EXPECT_LT(worse.RateAt(1, &prior), .7 * prior.RateAt(1, nullptr));
}

TEST(AcceptanceHistory, ForgetsWhatIsLongAgo) {
  AcceptanceHistory history;
  for (int i = 0; i < 1000; ++i) history.Observe(1, 1);
  for (int i = 0; i < 4 * static_cast<int>(AcceptanceHistory::kMemory); ++i) history.Observe(1, 0);
  EXPECT_LT(history.RateAt(0, nullptr), .16);
}

}  // namespace
}  // namespace runahead
