#include "speculative/draft_rates.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

float First(const DraftRates& rates, DrafterKind kind, int match_length,
            const AcceptanceHistory* history = nullptr) {
  float survival = 0;
  EXPECT_EQ(rates.Survival(kind, match_length, history, 0, std::span(&survival, 1)), 1);
  return survival;
}

TEST(DraftRates, MultipliesConditionalRates) {
  DraftRates rates;
  for (int i = 0; i < 400; ++i) rates.Observe(DrafterKind::kModel, 0, 2, i % 2 == 0 ? 2 : 0);
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
  for (int i = 0; i < 200; ++i) rates.Observe(DrafterKind::kNgram, 20, 1, 0);
  EXPECT_LT(First(rates, DrafterKind::kNgram, 20), 0.1F);
  EXPECT_GT(First(rates, DrafterKind::kNgram, 4), 0.5F);  // learned for that length alone
}

TEST(DraftRates, ASequencesOwnRecordCounts) {
  DraftRates rates;
  for (int i = 0; i < 100; ++i) {
    rates.Observe(DrafterKind::kModel, 0, 1, i % 2);
    rates.Observe(DrafterKind::kNgram, 4, 1, i % 2);
  }
  AcceptanceHistory bad;
  for (int i = 0; i < 40; ++i) bad.Observe(1, 0);
  for (const DrafterKind kind : {DrafterKind::kModel, DrafterKind::kNgram}) {
    EXPECT_LT(First(rates, kind, 4, &bad), 0.2F);
    EXPECT_GT(First(rates, kind, 4), 0.4F);
  }
}

}  // namespace
}  // namespace runahead
