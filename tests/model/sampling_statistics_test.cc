// Tokens drawn through the runner against the exact distribution of a tiny model: chi-square, with
// a check that the test has the power to see a small mistake. Seeds are fixed, so the result is
// always the same.
#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/model/exact_distribution.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

constexpr int kBatch = 32;
constexpr int kSteps = 400;
constexpr int kDraws = kBatch * kSteps;

struct Case {
  const char* name;
  SamplingParams sampling;
  bool with_draft;
};

class SamplingStatisticsTest : public testing::TestWithParam<std::tuple<std::string, Case>> {};

// kBatch sequences with the same prompt, each in its own blocks; every step they rerun their last
// token with a new seed, and where the case says so judge a draft as well.
std::vector<int> Draw(TestModel& model, const std::vector<int32_t>& prompt, const Case& test,
                      int32_t draft) {
  std::vector<int32_t> tokens = {prompt.back(), draft};
  std::vector<std::vector<int32_t>> tables;
  std::vector<SequenceRun> runs;
  for (int s = 0; s < kBatch; ++s) tables.push_back(model.NewTable(32));
  for (const auto& table : tables) runs.push_back({.tokens = prompt, .block_table = table});
  for (const SequenceRun& run : runs) model.runner().Run(std::span(&run, 1));
  std::vector<SamplingParams> sampling(kBatch, test.sampling);
  std::vector<int> counts(static_cast<size_t>(model.config().vocab_size));
  for (int step = 0; step < kSteps; ++step) {
    for (size_t s = 0; s < kBatch; ++s) {
      sampling[s].seed = static_cast<uint64_t>(step * kBatch) + s;
      runs[s] = {.tokens = std::span(tokens).first(test.with_draft ? 2 : 1),
                 .num_computed = static_cast<int>(prompt.size()) - 1,
                 .block_table = tables[s],
                 .num_drafts = test.with_draft ? 1 : 0,
                 .wants_token = true,
                 .sampling = &sampling[s]};
    }
    const ModelOutput& out = model.runner().Run(runs);
    for (int s = 0; s < kBatch; ++s) ++counts[static_cast<size_t>(out.TokensOf(s)[0])];
  }
  return counts;
}

TEST_P(SamplingStatisticsTest, DrawsFollowTheExactDistribution) {
  const auto& [backend, test] = GetParam();
  TestModel model(GoldenModel("llama_gqa"), {.backend = backend, .num_blocks = 128});
  const std::vector<int32_t> prompt = {3, 14, 15, 92, 65, 35, 89, 79};
  const std::vector<float> logits = model.Logits(prompt, 64).back();
  const std::vector<double> exact = ExactDistribution(logits, test.sampling);
  const auto likely =
      static_cast<int32_t>(std::max_element(exact.begin(), exact.end()) - exact.begin());
  const std::vector<int> counts = Draw(model, prompt, test, likely);
  for (size_t i = 0; i < exact.size(); ++i) {
    if (exact[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i << " was cut";
    }
  }
  // A correct sampler's score is near normal: beyond 4 by chance once in 30 000 runs.
  EXPECT_LT(ChiSquareScore(counts, exact), 4);
  // Power: a temperature wrong by a quarter must stand out.
  SamplingParams wrong = test.sampling;
  wrong.temperature *= 1.25f;
  EXPECT_GT(ChiSquareScore(counts, ExactDistribution(logits, wrong)), 8);
}

const Case kPlain = {"plain", {.temperature = 1}, false};

std::string NameOf(const testing::TestParamInfo<std::tuple<std::string, Case>>& instance) {
  return std::get<0>(instance.param) + "_" + std::get<1>(instance.param).name;
}

INSTANTIATE_TEST_SUITE_P(
    Cpu, SamplingStatisticsTest,
    testing::Combine(testing::Values("cpu"),
                     testing::Values(kPlain, Case{"hot", {.temperature = 1.5f}, false},
                                     Case{"top_k", {.temperature = 1, .top_k = 40}, false},
                                     Case{"top_p", {.temperature = 0.8f, .top_p = 0.9f}, false},
                                     Case{"min_p", {.temperature = 1, .min_p = 0.05f}, false},
                                     Case{"draft", {.temperature = 1}, true})),
    NameOf);

// The reference is slow on purpose, and the op tests hold the backends to each other.
INSTANTIATE_TEST_SUITE_P(Ref, SamplingStatisticsTest,
                         testing::Combine(testing::Values("ref"), testing::Values(kPlain)), NameOf);

}  // namespace
}  // namespace runahead
