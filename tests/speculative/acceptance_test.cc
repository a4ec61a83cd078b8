#include "speculative/acceptance.h"

#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

double RateAt(const AcceptanceHistory& history, size_t position) {
  std::array<double, kMaxDrafts> rates = {};
  history.Rates(rates);
  return rates[position];
}

TEST(AcceptanceHistory, KnowsNothingAtFirst) {
  const AcceptanceHistory history;
  EXPECT_DOUBLE_EQ(RateAt(history, 0), AcceptanceHistory::kInitialRate);
  EXPECT_DOUBLE_EQ(RateAt(history, kMaxDrafts - 1), AcceptanceHistory::kInitialRate);
}

TEST(AcceptanceHistory, CountsOnlyWhatWasTried) {
  AcceptanceHistory history;
  history.Observe(4, 2);  // positions 0, 1 held, 2 failed, 3 was never judged
  EXPECT_DOUBLE_EQ(history.num_trials(0), 1);
  EXPECT_DOUBLE_EQ(history.num_trials(2), 1);
  EXPECT_DOUBLE_EQ(history.num_trials(3), 0);
  EXPECT_GT(RateAt(history, 1), AcceptanceHistory::kInitialRate);
  EXPECT_LT(RateAt(history, 2), RateAt(history, 1));
  EXPECT_DOUBLE_EQ(RateAt(history, 3), RateAt(history, 2));  // thought to be like the one before
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
  EXPECT_NEAR(RateAt(history, 0), .8, 3 * .4 / 22);
  EXPECT_NEAR(RateAt(history, 1), .5, 3 * .5 / 20);
}

// Sequences accepted at .95 and at .5, at every position alike: the later positions are reached by
// the former alone, whose ratio of rejections (2/11 of the mean .275) says so.
TEST(AcceptanceHistory, FarPositionsAreNoBetterForBeingReachedByTheBest) {
  AcceptanceHistory blind(1000, 1);
  AcceptanceHistory history(1000, 1);
  std::mt19937 random(1);
  for (int i = 0; i < 8000; ++i) {
    const double rate = i % 2 == 0 ? .95 : .5;
    std::bernoulli_distribution accepts(rate);
    int accepted = 0;
    while (accepted < 6 && accepts(random)) ++accepted;
    blind.Observe(6, accepted);
    history.Observe(6, accepted, (1 - rate) / .275);
  }
  EXPECT_GT(RateAt(blind, 5), .9);
  EXPECT_NEAR(RateAt(history, 0), 1 - .275, .05);
  EXPECT_NEAR(RateAt(history, 5), 1 - .275, .1);
}

TEST(AcceptanceHistory, ForgetsWhatIsLongAgo) {
  AcceptanceHistory history(48, 3);
  for (int i = 0; i < 1000; ++i) history.Observe(1, 1);
  for (int i = 0; i < 4 * 48; ++i) history.Observe(1, 0);
  EXPECT_LT(RateAt(history, 0), .1);
}

TEST(AcceptanceRecord, CountsRejectionsAgainstWhatWasExpected) {
  AcceptanceRecord record;
  record.Observe(1, .25);
  record.Observe(0, .5);
  EXPECT_NEAR(record.rejected(), 1, .02);  // a little is forgotten
  EXPECT_NEAR(record.expected(), .75, .02);
  for (int i = 0; i < 1000; ++i) record.Observe(0, .5);
  EXPECT_LT(record.rejected(), 1e-3);
}

}  // namespace
}  // namespace runahead
