#include "speculative/draft_rates.h"

#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

float First(const DraftRates& rates, DrafterKind kind, int match_length,
            const AcceptanceRecord* record = nullptr) {
  float survival = 0;
  EXPECT_EQ(rates.Survival(kind, match_length, record, 0, std::span(&survival, 1)), 1);
  return survival;
}

TEST(DraftRates, MultipliesConditionalRates) {
  DraftRates rates;
  for (int i = 0; i < 400; ++i)
    rates.Observe(DrafterKind::kModel, 0, 2, i % 2 == 0 ? 2 : 0, nullptr);
  std::array<float, 2> survival = {};
  ASSERT_EQ(rates.Survival(DrafterKind::kModel, 0, nullptr, 0, survival), 2);
  EXPECT_NEAR(survival[0], 0.5, 0.03);
  EXPECT_NEAR(survival[1], 0.5, 0.03);  // always accepted where the first was
}

TEST(DraftRates, StopsWhereHardlyAnythingSurvives) {
  DraftRates rates;
  std::array<float, kMaxDrafts> survival = {};
  const int count = rates.Survival(DrafterKind::kModel, 0, nullptr, 0.2F, survival);
  EXPECT_EQ(count, 4);  // .7^4 = .24, .7^5 = .17
}

TEST(DraftRates, TrustsLongMatchesMore) {
  DraftRates rates;
  EXPECT_LT(First(rates, DrafterKind::kNgram, 1), 0.5F);
  EXPECT_GT(First(rates, DrafterKind::kNgram, 20), 0.7F);
  for (int i = 0; i < 200; ++i) rates.Observe(DrafterKind::kNgram, 20, 1, 0, nullptr);
  EXPECT_LT(First(rates, DrafterKind::kNgram, 20), 0.1F);
  EXPECT_GT(First(rates, DrafterKind::kNgram, 4), 0.5F);  // learned for that length alone
}

TEST(DraftRates, BelievesAPredictionAtOnce) {
  const DraftRates rates;
  EXPECT_GT(First(rates, DrafterKind::kPrediction, 0), 0.8F);
  // Found again by one token, it may be elsewhere.
  EXPECT_LT(First(rates, DrafterKind::kPrediction, 1), 0.6F);
}

TEST(DraftRates, ASequencesOwnRecordCounts) {
  DraftRates rates;
  for (int i = 0; i < 100; ++i) {
    rates.Observe(DrafterKind::kModel, 0, 1, i % 2, nullptr);
    rates.Observe(DrafterKind::kNgram, 4, 1, i % 2, nullptr);
  }
  AcceptanceRecord bad;
  for (int i = 0; i < 40; ++i) bad.Observe(1, 0.5);
  for (const DrafterKind kind : {DrafterKind::kModel, DrafterKind::kNgram}) {
    EXPECT_LT(First(rates, kind, 4, &bad), 0.2F);
    EXPECT_GT(First(rates, kind, 4), 0.4F);
  }
}

// Requests of 12 steps each, accepted at a rate drawn anew for each.
double SpreadOf(double least, double most) {
  DraftRates rates;
  std::mt19937 random(1);
  std::uniform_real_distribution<double> draw(least, most);
  for (int request = 0; request < 1000; ++request) {
    AcceptanceRecord record;
    std::bernoulli_distribution accepts(draw(random));
    for (int step = 0; step < 12; ++step) {
      int accepted = 0;
      while (accepted < 4 && accepts(random)) ++accepted;
      rates.Observe(DrafterKind::kModel, 0, 4, accepted, &record);
    }
  }
  return rates.Spread(DrafterKind::kModel);
}

// A rate between .5 and 1 differs from its mean of .75, by rejections, with variance
// (.5^2 / 12) / .25^2 = 1/3.
TEST(DraftRates, LearnsHowMuchRequestsDiffer) {
  EXPECT_LT(SpreadOf(.8, .8), 0.05);
  EXPECT_NEAR(SpreadOf(.5, 1), 1.0 / 3, 0.12);
}

// Where requests are alike, what looks like a bad one was unlucky.
TEST(DraftRates, ARecordOfLuckSaysLittle) {
  DraftRates rates;
  std::mt19937 random(1);
  std::bernoulli_distribution accepts(.8);
  AcceptanceRecord record;
  for (int step = 0; step < 12000; ++step) {
    if (step % 12 == 0) record = {};
    rates.Observe(DrafterKind::kModel, 0, 1, accepts(random) ? 1 : 0, &record);
  }
  AcceptanceRecord unlucky;
  for (int i = 0; i < 3; ++i) unlucky.Observe(1, .2);
  EXPECT_GT(First(rates, DrafterKind::kModel, 0, &unlucky), 0.7F);
}

}  // namespace
}  // namespace runahead
