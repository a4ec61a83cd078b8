#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// One row through ProcessLogits.
struct RowResult {
  std::vector<float> logits;
  std::vector<int32_t> survivors;
  int32_t count = 0;

  // Ids above -infinity, ascending.
  std::vector<int32_t> Finite() const {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] > -kInf) ids.push_back(static_cast<int32_t>(i));
    }
    return ids;
  }
};

RowResult Process(Backend& backend, std::vector<float> logits, const LogitParams& params,
                  const std::vector<TokenAdjust>& adjusts = {},
                  const std::vector<int32_t>& allowed = {}, int capacity = 64) {
  RowResult result;
  result.logits = std::move(logits);
  result.survivors.resize(static_cast<size_t>(capacity), -7);
  const auto vocab = static_cast<int64_t>(result.logits.size());
  const std::vector<LogitParams> all_params = {params};
  const std::vector<int32_t> adjust_offsets = {0, static_cast<int32_t>(adjusts.size())};
  const std::vector<int32_t> allowed_offsets = {0, static_cast<int32_t>(allowed.size())};
  backend.ProcessLogits({.logits = {result.logits.data(), DType::kF32, {1, vocab}},
                         .params = all_params,
                         .adjusts = adjusts,
                         .adjust_offsets = adjust_offsets,
                         .allowed = allowed,
                         .allowed_offsets = allowed_offsets,
                         .survivors = {result.survivors.data(), &result.count, capacity}});
  result.survivors.resize(static_cast<size_t>(std::max(0, result.count)));
  return result;
}

class ProcessLogitsTest : public OpTest {};

TEST_P(ProcessLogitsTest, DefaultsChangeNothing) {
  std::mt19937 rng(1);
  const std::vector<float> logits = RandomFloats(1001, rng, 3);
  const RowResult result = Process(*backend_, logits, {});
  EXPECT_EQ(result.logits, logits);
  EXPECT_EQ(result.count, -1);
}

TEST_P(ProcessLogitsTest, AppliesBiasThenPenaltiesThenTemperature) {
  const LogitParams params = {.temperature = 0.5f,
                              .repetition_penalty = 2,
                              .presence_penalty = 0.25f,
                              .frequency_penalty = 0.5f};
  const std::vector<TokenAdjust> adjusts = {
      {.token = 0, .output_count = 3},              // 4 / 2 - 0.25 - 1.5 = 0.25
      {.token = 1, .in_prompt = true},              // -2 * 2 = -4, no output penalties
      {.token = 2, .bias = 1.5f},                   // 1 + 1.5
      {.token = 3, .output_count = 1, .bias = -3},  // (1 - 3) * 2 - 0.25 - 0.5 = -4.75
      {.token = 4, .bias = -kInf}};                 // banned
  const RowResult result = Process(*backend_, {4, -2, 1, 1, 9, 7}, params, adjusts);
  EXPECT_EQ(result.logits, (std::vector<float>{0.5f, -8, 5, -9.5f, -kInf, 14}));
}

TEST_P(ProcessLogitsTest, AllowedIdsAreKeptAndListed) {
  const RowResult result =
      Process(*backend_, {1, 2, 3, 4}, {}, {{.token = 3, .bias = -kInf}}, {1, 3});
  EXPECT_EQ(result.logits, (std::vector<float>{-kInf, 2, -kInf, -kInf}));
  EXPECT_EQ(result.survivors, (std::vector<int32_t>{1}));
}

TEST_P(ProcessLogitsTest, GreedySkipsFilters) {
  const LogitParams params = {.temperature = 0, .top_k = 1, .top_p = 0.1f, .min_p = 0.9f};
  const RowResult result = Process(*backend_, {1, 2, 3}, params);
  EXPECT_EQ(result.logits, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(result.count, -1);
}

TEST_P(ProcessLogitsTest, TopKKeepsLowerIdsAmongEquals) {
  const RowResult result = Process(*backend_, {5, 1, 5, 5, 0, 5}, {.top_k = 3});
  EXPECT_EQ(result.survivors, (std::vector<int32_t>{0, 2, 3}));
  EXPECT_EQ(result.Finite(), result.survivors);
  EXPECT_EQ(Process(*backend_, {5, 1, 5}, {.top_k = 9}).survivors, (std::vector<int32_t>{0, 1, 2}));
}

TEST_P(ProcessLogitsTest, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625.
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {-2 * ln2, -4 * ln2, -1 * ln2, -4 * ln2, -3 * ln2};
  EXPECT_EQ(Process(*backend_, logits, {.top_p = 0.4f}).survivors, (std::vector<int32_t>{2}));
  EXPECT_EQ(Process(*backend_, logits, {.top_p = 0.6f}).survivors, (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(Process(*backend_, logits, {.top_p = 0.8f}).survivors, (std::vector<int32_t>{0, 2, 4}));
  EXPECT_EQ(Process(*backend_, logits, {.top_p = 0.9f}).survivors,
            (std::vector<int32_t>{0, 1, 2, 4}));
  EXPECT_EQ(Process(*backend_, logits, {.top_p = 0}).survivors, (std::vector<int32_t>{2}));
  // The mass is that of what top_k left: 0.5 of 0.75.
  EXPECT_EQ(Process(*backend_, logits, {.top_k = 2, .top_p = 0.6f}).survivors,
            (std::vector<int32_t>{2}));
}

TEST_P(ProcessLogitsTest, MinPIsRelativeToTheBest) {
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {0, -1 * ln2, -2 * ln2, -3 * ln2};
  EXPECT_EQ(Process(*backend_, logits, {.min_p = 0.2f}).survivors, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(Process(*backend_, logits, {.min_p = 1}).survivors, (std::vector<int32_t>{0}));
}

TEST_P(ProcessLogitsTest, TooManySurvivorsAreNotListed) {
  std::mt19937 rng(2);
  const RowResult result =
      Process(*backend_, RandomFloats(100, rng, 0.01), {.top_k = 50}, {}, {}, 49);
  EXPECT_EQ(result.count, -1);
  EXPECT_EQ(result.Finite().size(), 50u);
}

TEST_P(ProcessLogitsTest, ABannedVocabularySurvivesNothing) {
  const RowResult result = Process(*backend_, {-kInf, -kInf, -kInf}, {.top_p = 0.5f});
  EXPECT_EQ(result.count, 0);
}

// The definition, by a full sort in double. Random logits keep every border away from rounding.
std::vector<int32_t> SurvivorsByDefinition(const std::vector<float>& logits,
                                           const LogitParams& params) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > -kInf) ids.push_back(static_cast<int32_t>(i));
  }
  const auto logit = [&](int32_t id) {
    return static_cast<double>(logits[static_cast<size_t>(id)] / params.temperature);
  };
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  if (params.top_k > 0 && ids.size() > static_cast<size_t>(params.top_k)) {
    ids.resize(static_cast<size_t>(params.top_k));
  }
  const double highest = logit(ids[0]);
  double total = 0;
  for (const int32_t id : ids) total += std::exp(logit(id) - highest);
  double sum = 0;
  size_t count = 0;
  while (count < ids.size() && (count == 0 || sum < static_cast<double>(params.top_p) * total)) {
    sum += std::exp(logit(ids[count++]) - highest);
  }
  if (params.top_p < 1) ids.resize(count);
  std::erase_if(ids, [&](int32_t id) {
    return std::exp(logit(id) - highest) < static_cast<double>(params.min_p);
  });
  std::sort(ids.begin(), ids.end());
  return ids;
}

// Peaked rows, whose survivors are near the best, and flat ones, where nearly all survive.
TEST_P(ProcessLogitsTest, SurvivorsMatchTheDefinition) {
  std::mt19937 rng(3);
  const std::vector<LogitParams> all = {
      {.top_k = 1},
      {.top_k = 40},
      {.top_p = 0.95f},
      {.top_p = 0.5f},
      {.min_p = 0.05f},
      {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f},
      {.temperature = 1.5f, .top_k = 100, .top_p = 0.99f, .min_p = 0.01f},
      {.top_p = 0.9999f},
      {.min_p = 1e-12f},
  };
  for (const double deviation : {0.1, 3.0, 12.0}) {
    for (const int64_t vocab : {1, 7, 1000, 5003}) {
      const std::vector<float> logits = RandomFloats(vocab, rng, deviation);
      for (const LogitParams& params : all) {
        const RowResult result = Process(*backend_, logits, params, {}, {}, 6000);
        const auto expected = SurvivorsByDefinition(logits, params);
        EXPECT_TRUE(result.survivors == expected)
            << "vocab " << vocab << " deviation " << deviation << " top_k " << params.top_k
            << " top_p " << params.top_p << " min_p " << params.min_p << ": "
            << result.survivors.size() << " for " << expected.size();
        EXPECT_TRUE(result.Finite() == expected);
      }
    }
  }
}

TEST_P(ProcessLogitsTest, RowsHaveTheirOwnParameters) {
  std::vector<float> logits = {1, 2, 3, 3, 2, 1};
  const std::vector<LogitParams> params = {{.top_k = 1}, {.temperature = 2}};
  std::vector<int32_t> ids(2 * 3);
  std::vector<int32_t> counts(2);
  backend_->ProcessLogits({.logits = {logits.data(), DType::kF32, {2, 3}},
                           .params = params,
                           .survivors = {ids.data(), counts.data(), 3}});
  EXPECT_EQ(logits, (std::vector<float>{-kInf, -kInf, 3, 1.5f, 1, 0.5f}));
  EXPECT_EQ(counts, (std::vector<int32_t>{1, -1}));
  EXPECT_EQ(ids[0], 2);
}

RA_FOR_ALL_BACKENDS(ProcessLogitsTest);

}  // namespace
}  // namespace runahead
