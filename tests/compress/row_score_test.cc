#include "compress/row_score.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> Logs(const std::vector<double>& shares, float shift) {
  std::vector<float> logits;
  for (const double share : shares) logits.push_back(static_cast<float>(std::log(share)) + shift);
  return logits;
}

TEST(RowScoreTest, IsWhatTheDefinitionsSay) {
  const std::vector<double> p = {0.5, 0.25, 0.125, 0.125};  // the reference
  const std::vector<double> q = {0.25, 0.5, 0.0625, 0.1875};
  const RowScore score = ScoreRow(Logs(q, 7), Logs(p, -3), 1);
  double kl = 0;
  for (size_t i = 0; i < p.size(); ++i) kl += p[i] * std::log(p[i] / q[i]);
  EXPECT_NEAR(score.nll, std::log(2), 1e-6);
  EXPECT_NEAR(score.reference_nll, std::log(4), 1e-6);
  EXPECT_NEAR(score.kl, kl, 1e-6);
  EXPECT_NEAR(score.DeltaP(), 0.25, 1e-6);
  EXPECT_FALSE(score.has_same_top);
  EXPECT_FALSE(score.is_broken);
  EXPECT_NEAR(ScoreRow(Logs(q, 7), 1).nll, score.nll, 1e-12);
}

TEST(RowScoreTest, EqualRowsHaveNoDivergence) {
  const std::vector<float> logits = {300, -200, 12.5f, 299.75f};
  const RowScore score = ScoreRow(logits, logits, 3);
  EXPECT_EQ(score.kl, 0);
  EXPECT_EQ(score.DeltaP(), 0);
  EXPECT_TRUE(score.has_same_top);
}

TEST(RowScoreTest, AShiftOfAllLogitsChangesNothing) {
  const std::vector<float> reference = {1, 2, 3};
  const std::vector<float> logits = {65, 66, 67};
  EXPECT_LE(ScoreRow(logits, reference, 0).kl, 1e-14);
}

TEST(RowScoreTest, SmallDivergencesSurviveLargeLogits) {
  // Two tokens of 1/2; the model moves them apart by 2 e: KL = e^2 / 2 to first order.
  const float e = 0x1p-10f;
  const std::vector<float> reference = {1000, 1000};
  const std::vector<float> logits = {1000 + 2 * e * 8, 1000 - 2 * e * 8};
  const double d = (double{logits[0]} - logits[1]) / 2;
  EXPECT_NEAR(ScoreRow(logits, reference, 0).kl, std::log(std::cosh(d)), 1e-12);
}

TEST(RowScoreTest, TokensOfNoProbability) {
  const std::vector<float> reference = {0, 0, -kInf};
  const std::vector<float> logits = {0, 1, -kInf};
  EXPECT_TRUE(std::isfinite(ScoreRow(logits, reference, 0).kl));
  EXPECT_EQ(ScoreRow(logits, reference, 2).nll, kInf);
  // What the reference expects and the model excludes is infinitely far.
  EXPECT_EQ(ScoreRow(std::vector<float>{0, -kInf, 0}, reference, 0).kl, kInf);
}

TEST(RowScoreTest, WhatIsNoDistributionIsBroken) {
  const std::vector<float> good = {0, 1};
  for (const std::vector<float>& bad :
       {std::vector<float>{0, NAN}, std::vector<float>{NAN, 0}, std::vector<float>{kInf, 0},
        std::vector<float>{-kInf, -kInf}}) {
    EXPECT_TRUE(ScoreRow(bad, 0).is_broken);
    EXPECT_TRUE(ScoreRow(bad, good, 0).is_broken);
    EXPECT_TRUE(ScoreRow(good, bad, 0).is_broken);
  }
}

}  // namespace
}  // namespace runahead
