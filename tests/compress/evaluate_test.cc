#include "compress/evaluate.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "compress/eval_windows.h"
#include "tests/model/golden_logits.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::HasSubstr;

constexpr int kBlockSize = 16;

// A golden model as an evaluation sees it.
struct Subject {
  Subject(const std::string& name, const std::string& backend, WeightFormat weights, DType kv,
          int max_rows, int max_logit_rows)
      : limits{.max_rows = max_rows,
               .max_sequences = 1,
               .max_logit_rows = max_logit_rows,
               .max_context = 64,
               .block_size = kBlockSize},
        model(GoldenModel(name), {.backend = backend,
                                  .weights = weights,
                                  .kv = kv,
                                  .num_blocks = 64 / kBlockSize,
                                  .limits = limits}) {}

  EvalModel view() {
    return {.backend = &model.backend(),
            .runner = &model.runner(),
            .limits = limits,
            .vocab = model.config().vocab_limit};
  }

  RunnerLimits limits;
  TestModel model;
};

std::vector<int32_t> Ids(int count, int vocab) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(i * 7919 % 104729 % vocab));
  return ids;
}

// The definition, on logits of each window run in one piece.
double NllOf(TestModel& model, const std::vector<int32_t>& ids, int window, int stride) {
  double sum = 0;
  for (const EvalWindow& w : SlidingWindows(static_cast<int>(ids.size()), window, stride)) {
    const std::vector<int32_t> piece(ids.begin() + w.begin, ids.begin() + w.end);
    const Rows rows = model.Logits(piece, 64);
    for (int token = w.first_scored; token < w.end; ++token) {
      const auto& row = rows[static_cast<size_t>(token - 1 - w.begin)];
      double total = 0;
      for (const float logit : row) total += std::exp(double{logit});
      sum += std::log(total) - row[static_cast<size_t>(ids[static_cast<size_t>(token)])];
    }
  }
  return sum / static_cast<double>(ids.size() - 1);
}

// Chunks of 5 rows, logits in slices of 3, windows that overlap: as in one piece.
TEST(EvaluateTest, IsTheDefinitionWhateverThePieces) {
  Subject pieces("llama_gqa", "cpu", WeightFormat::kF32, DType::kF32, 5, 3);
  Subject whole("llama_gqa", "cpu", WeightFormat::kF32, DType::kF32, 64, 64);
  const std::vector<int32_t> ids = Ids(75, whole.model.config().vocab_limit);
  for (const auto& [window, stride] : {std::pair(64, 32), {20, 7}, {64, 63}, {2, 1}}) {
    const EvalOptions options = {.window = window, .stride = stride};
    const auto summary = Evaluate(pieces.view(), nullptr, ids, options);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    EXPECT_EQ(summary->num_tokens, 74);
    EXPECT_FALSE(summary->has_reference);
    EXPECT_NEAR(summary->nll.mean, NllOf(whole.model, ids, window, stride), 1e-6) << window;
  }
}

TEST(EvaluateTest, AModelIsNotFarFromItself) {
  Subject one("qwen2_bias", "cpu", WeightFormat::kBF16, DType::kBF16, 7, 4);
  Subject two("qwen2_bias", "cpu", WeightFormat::kBF16, DType::kBF16, 64, 16);
  const std::vector<int32_t> ids = Ids(70, one.view().vocab);
  const EvalModel reference = two.view();
  const auto summary = Evaluate(one.view(), &reference, ids, {.window = 32, .stride = 16});
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->kl_max, 0);
  EXPECT_EQ(summary->rms_delta_p, 0);
  EXPECT_EQ(summary->same_top, 1);
  EXPECT_EQ(summary->nll.mean, summary->reference_nll.mean);
}

// BF16 moves the logits of a row of norm r by bf16_error * r at most (docs/numerics.md), and a
// change of logits by at most d in each moves the distribution by KL <= d^2 / 2 (the variance of
// what is within [-d, d], halved, is the largest second-order term).
TEST(EvaluateTest, Bf16IsAsFarFromF32AsItsRoundingAllows) {
  const Golden golden = ReadGolden(GoldenModel("llama_gqa"));
  Subject bf16("llama_gqa", "cpu", WeightFormat::kBF16, DType::kBF16, 64, 64);
  Subject f32("llama_gqa", "cpu", WeightFormat::kF32, DType::kF32, 64, 64);
  const std::vector<int32_t>& ids = golden.prompts.back().ids;
  const std::vector<int32_t> text(ids.begin(),
                                  ids.begin() + std::min<ptrdiff_t>(64, std::ssize(ids)));
  const EvalModel reference = f32.view();
  const auto summary = Evaluate(bf16.view(), &reference, text, {.window = 64, .stride = 32});
  ASSERT_TRUE(summary.ok());
  EXPECT_GT(summary->kl.mean, 0);
  double norm = 0;
  for (const auto& row : f32.model.Logits(text, 64)) {
    double squares = 0;
    for (const float logit : row) squares += double{logit} * logit;
    norm = std::max(norm, std::sqrt(squares));
  }
  const double d = 3 * golden.bf16_error * norm;
  EXPECT_LE(summary->kl_max, d * d / 2);
}

TEST(EvaluateTest, ProgressRisesToOne) {
  Subject subject("llama_gqa", "cpu", WeightFormat::kF32, DType::kF32, 64, 64);
  std::vector<double> fractions;
  const auto summary =
      Evaluate(subject.view(), nullptr, Ids(80, 96),
               {.window = 16, .stride = 8, .progress = [&](double f) { fractions.push_back(f); }});
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_EQ(fractions.size(), 9u);
  EXPECT_EQ(fractions.back(), 1);
}

TEST(EvaluateTest, WhatCannotBeScoredIsNamed) {
  Subject one("llama_gqa", "ref", WeightFormat::kF32, DType::kF32, 64, 64);
  Subject other("llama_tied", "ref", WeightFormat::kF32, DType::kF32, 64, 64);
  const auto error = [&](const std::vector<int32_t>& ids, const EvalModel* reference) {
    const auto result = Evaluate(one.view(), reference, ids, {.window = 8, .stride = 4});
    return result.ok() ? "no error" : result.status().message();
  };
  EXPECT_THAT(error({}, nullptr), HasSubstr("a text of 0 tokens"));
  EXPECT_THAT(error({1}, nullptr), HasSubstr("a text of 1 tokens"));
  EXPECT_THAT(error({1, 96}, nullptr), HasSubstr("token id 96 is not below the vocabulary of 96"));
  EXPECT_THAT(error({1, -1}, nullptr), HasSubstr("token id -1"));
  EvalModel stranger = other.view();
  stranger.vocab += 1;
  EXPECT_THAT(error({1, 2}, &stranger), HasSubstr("one vocabulary"));
}

}  // namespace
}  // namespace runahead
