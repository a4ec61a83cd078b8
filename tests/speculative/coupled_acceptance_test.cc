// How often drafts are accepted, against theory: coupled draws agree with probability
// sum_v 1 / sum_w max(p_w / p_v, q_w / q_v), rejection sampling accepts with 1 - TV(p, q), which no
// rule can beat. Seeds are fixed, so the result is always the same.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/model/exact_distribution.h"
#include "tests/speculative/pair_fixture.h"
#include "tests/speculative/random_models.h"

namespace runahead {
namespace {

constexpr int kVocab = 48;
constexpr int kBatch = 64;

// Both draws are the argmin of the same exponentials divided by p and by q: they agree on v where
// E_w / E_v exceeds both ratios for every w.
double CoupledAcceptance(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0;
  for (size_t v = 0; v < p.size(); ++v) {
    if (p[v] == 0 || q[v] == 0) continue;
    double ratios = 0;
    for (size_t w = 0; w < p.size(); ++w) ratios += std::max(p[w] / p[v], q[w] / q[v]);
    sum += 1 / ratios;
  }
  return sum;
}

double Overlap(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0;
  for (size_t v = 0; v < p.size(); ++v) sum += std::min(p[v], q[v]);
  return sum;
}

// Steps of one draft each, kBatch sequences at a time, behind the same prompt with new seeds.
int CountAccepted(Pair& pair, std::vector<PairSequence>& sequences, int num_steps,
                  uint64_t& next_seed) {
  std::vector<PairSequence*> all;
  for (PairSequence& sequence : sequences) all.push_back(&sequence);
  const auto prompt = sequences[0].prompt();
  const std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  int num_accepted = 0;
  for (int step = 0; step < num_steps; ++step) {
    for (size_t s = 0; s < sequences.size(); ++s) {
      sequences[s].tokens = tokens;
      sequences[s].target_computed = static_cast<int>(tokens.size()) - 1;
      sequences[s].draft_computed = sequences[s].target_computed;
      sequences[s].sampling.seed = next_seed++;
      sequences[s].num_drafts = 1;
    }
    pair.Step(all);
    for (const PairSequence& sequence : sequences) num_accepted += sequence.num_accepted;
  }
  return num_accepted;
}

struct Case {
  const char* name;
  VerifyMode mode;
  SamplingParams sampling;
};

class CoupledAcceptanceTest : public testing::TestWithParam<Case> {};

TEST_P(CoupledAcceptanceTest, EqualsTheory) {
  constexpr int kPrompts = 8;
  constexpr int kSteps = 40;
  const Case& test = GetParam();
  const bool is_coupled = test.mode == VerifyMode::kCoupled;
  const TestFolder target("_target");
  const TestFolder draft("_draft");
  WriteRandomModel(target, kVocab, 2, 0);
  WriteRandomModel(draft, kVocab, 2, 0.4f);
  Pair pair(target.path(), draft.path(),
            {.backend = "cpu",
             .num_blocks = 256,
             .limits = {.max_rows = 1024,
                        .max_sequences = kBatch,
                        .max_logit_rows = 512,
                        .max_context = 64,
                        .verify_mode = test.mode}});
  double coupled = 0;
  double best = 0;
  double variance = 0;
  double num_accepted = 0;
  uint64_t next_seed = 0;  // never used twice: one seed's noise is the same behind every prompt
  for (uint32_t i = 0; i < kPrompts; ++i) {
    const std::vector<int32_t> prompt = SomeTokens(8, kVocab, i);
    const auto p = ExactDistribution(pair.target().Logits(prompt, 64).back(), test.sampling);
    const auto q = ExactDistribution(pair.draft().Logits(prompt, 64).back(), test.sampling);
    coupled += CoupledAcceptance(p, q) / kPrompts;
    best += Overlap(p, q) / kPrompts;
    const double rate = is_coupled ? CoupledAcceptance(p, q) : Overlap(p, q);
    variance += rate * (1 - rate) / (kSteps * kBatch * kPrompts * kPrompts);
    std::vector<PairSequence> sequences;
    for (int s = 0; s < kBatch; ++s) {
      sequences.push_back(pair.NewSequence(prompt, test.sampling, 8));
      pair.Step(sequences.back());
    }
    num_accepted += CountAccepted(pair, sequences, kSteps, next_seed);
  }
  const double measured = num_accepted / (kSteps * kBatch * kPrompts);
  // Beyond 4.5 standard deviations by chance once in 150 000 runs.
  EXPECT_NEAR(measured, is_coupled ? coupled : best, 4.5 * std::sqrt(variance));
  // Daliri et al. 2024: at least (1 - TV) / (1 + TV).
  EXPECT_GE(coupled, best / (2 - best));
  EXPECT_LT(coupled, best);
  std::printf("%s: accepted %.4f; theory: coupled %.4f, rejection %.4f, gap %.4f\n", test.name,
              measured, coupled, best, best - coupled);
}

INSTANTIATE_TEST_SUITE_P(
    Modes, CoupledAcceptanceTest,
    testing::Values(
        Case{"coupled", VerifyMode::kCoupled, {.temperature = 1}},
        Case{"coupled_cold", VerifyMode::kCoupled, {.temperature = 0.5f}},
        Case{"coupled_top_p", VerifyMode::kCoupled, {.temperature = 0.8f, .top_p = 0.9f}},
        Case{"coupled_top_k", VerifyMode::kCoupled, {.temperature = 1.5f, .top_k = 8}},
        Case{"rejection", VerifyMode::kRejection, {.temperature = 1}},
        Case{"rejection_top_p", VerifyMode::kRejection, {.temperature = 0.8f, .top_p = 0.9f}}),
    [](const testing::TestParamInfo<Case>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace runahead
