#include "compress/eval_summary.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(EvalSummaryTest, MeansAndTheirErrors) {
  EvalScores scores(true);
  scores.Add({.nll = 1, .reference_nll = 2, .kl = 0.5, .has_same_top = true});
  scores.Add({.nll = 3, .reference_nll = 2, .kl = 0.1, .has_same_top = false});
  const EvalSummary summary = scores.Summarize();
  EXPECT_EQ(summary.num_tokens, 2);
  EXPECT_DOUBLE_EQ(summary.nll.mean, 2);
  EXPECT_DOUBLE_EQ(summary.nll.error, 1);  // sqrt(2 / 1 / 2)
  EXPECT_DOUBLE_EQ(summary.Perplexity(), std::exp(2));
  EXPECT_DOUBLE_EQ(summary.ReferencePerplexity(), std::exp(2));
  EXPECT_DOUBLE_EQ(summary.kl.mean, 0.3);
  EXPECT_DOUBLE_EQ(summary.kl_max, 0.5);
  EXPECT_DOUBLE_EQ(summary.same_top, 0.5);
  const double up = std::exp(-1) - std::exp(-2);
  const double down = std::exp(-3) - std::exp(-2);
  EXPECT_DOUBLE_EQ(summary.rms_delta_p, std::sqrt((up * up + down * down) / 2));
}

TEST(EvalSummaryTest, NinetyNineOfAHundredTokens) {
  for (const auto& [count, expected] :
       {std::pair(1, 1), {2, 2}, {100, 99}, {101, 100}, {200, 198}}) {
    EvalScores scores(true);
    for (int i = count; i >= 1; --i) scores.Add({.kl = static_cast<double>(i)});
    EXPECT_DOUBLE_EQ(scores.Summarize().kl_99, expected) << count;
  }
}

TEST(EvalSummaryTest, WithoutAReferenceThereIsPerplexityAlone) {
  EvalScores scores(false);
  scores.Add({.nll = std::log(4)});
  const EvalSummary summary = scores.Summarize();
  EXPECT_THAT(ToTable(summary), HasSubstr("4.000000"));
  EXPECT_THAT(ToTable(summary), Not(HasSubstr("KL")));
  const auto json = nlohmann::json::parse(ToJson(summary));
  EXPECT_NEAR(json["perplexity"].get<double>(), 4, 1e-12);
  EXPECT_EQ(json["tokens"], 1);
  EXPECT_FALSE(json.contains("mean_kl"));
}

TEST(EvalSummaryTest, TableAndJsonHoldTheSameFigures) {
  EvalScores scores(true);
  scores.Add({.nll = 1, .reference_nll = 1, .kl = 0.25, .has_same_top = true});
  const EvalSummary summary = scores.Summarize();
  for (const char* row :
       {"mean KL                    0.250000", "largest KL                 0.250000",
        "same top-1                 100.0000 %", "RMS delta-p                  0.0000 %"}) {
    EXPECT_THAT(ToTable(summary), HasSubstr(row));
  }
  const auto json = nlohmann::json::parse(ToJson(summary));
  EXPECT_EQ(json["mean_kl"], 0.25);
  EXPECT_EQ(json["max_kl"], 0.25);
  EXPECT_EQ(json["same_top_1"], 1);
  EXPECT_EQ(json["rms_delta_p"], 0);
}

TEST(EvalSummaryTest, OfNothing) { EXPECT_EQ(EvalScores(true).Summarize().num_tokens, 0); }

}  // namespace
}  // namespace runahead
