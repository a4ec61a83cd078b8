// What speculation with a draft model emits against the exact distribution of the target, and how
// often it accepts against theory. Seeds are fixed, so the result is always the same.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/model/exact_distribution.h"
#include "tests/speculative/pair_fixture.h"
#include "tests/speculative/random_models.h"

namespace runahead {
namespace {

constexpr int kBatch = 64;

TestModelOptions Options(VerifyMode mode, int max_logit_rows = 512) {
  return {.backend = "cpu",
          .num_blocks = 256,
          .limits = {.max_rows = 1024,
                     .max_sequences = kBatch,
                     .max_logit_rows = max_logit_rows,
                     .max_context = 128,
                     .verify_mode = mode}};
}

const std::vector<int32_t> kPrompt = {3, 1, 4, 1, 5};

// Sequences of kLength tokens as numbers in base kVocab.
constexpr int kVocab = 6;
constexpr int kLength = 3;
constexpr int kSequences = 216;

int NumberOf(std::span<const int32_t> tokens) {
  int number = 0;
  for (const int32_t token : tokens) number = number * kVocab + token;
  return number;
}

std::vector<double> ExactSequences(TestModel& model, const SamplingParams& sampling) {
  std::vector<double> exact(kSequences);
  const auto visit = [&](const auto& self, std::vector<int32_t>& output, double p) -> void {
    if (output.size() == kLength) {
      exact[static_cast<size_t>(NumberOf(output))] = p;
      return;
    }
    std::vector<int32_t> ids = kPrompt;
    ids.insert(ids.end(), output.begin(), output.end());
    const std::vector<double> next = ExactDistribution(
        Penalized(model.Logits(ids, 64).back(), kPrompt, output, sampling), sampling);
    for (int32_t id = 0; id < kVocab; ++id) {
      output.push_back(id);
      self(self, output, p * next[static_cast<size_t>(id)]);
      output.pop_back();
    }
  };
  std::vector<int32_t> none;
  visit(visit, none, 1);
  return exact;
}

struct Case {
  const char* name;
  VerifyMode mode;
  SamplingParams sampling;
  int max_drafts;
  float min_confidence;
  int max_logit_rows = 512;
};

// What `num_samples` requests said that differ in their seeds alone, kLength tokens of each. Each
// step drafts a number of tokens between 0 and max_drafts that has nothing to do with the tokens.
std::vector<int32_t> SampleSequences(Pair& pair, const Case& test, int num_samples) {
  std::vector<PairSequence> sequences;
  for (int s = 0; s < kBatch; ++s) {
    sequences.push_back(pair.NewSequence(kPrompt, test.sampling, 11));
    sequences.back().min_confidence = test.min_confidence;
    pair.Step(sequences.back());
  }
  std::vector<int32_t> samples;
  uint32_t random = 1;
  for (int begin = 0; begin < num_samples; begin += kBatch) {
    for (int s = 0; s < kBatch; ++s) {
      PairSequence& sequence = sequences[static_cast<size_t>(s)];
      sequence.tokens = kPrompt;
      sequence.target_computed = sequence.draft_computed = static_cast<int>(kPrompt.size()) - 1;
      sequence.counts.Clear();
      sequence.sampling.seed = static_cast<uint64_t>(begin + s);
    }
    std::vector<PairSequence*> left;
    for (;;) {
      left.clear();
      for (PairSequence& sequence : sequences) {
        if (sequence.output().size() >= kLength) continue;
        random = random * 1664525u + 1013904223u;
        sequence.num_drafts =
            static_cast<int>((random >> 16) % static_cast<uint32_t>(test.max_drafts + 1));
        left.push_back(&sequence);
      }
      if (left.empty()) break;
      pair.Step(left);
    }
    for (const PairSequence& sequence : sequences) {
      const auto output = sequence.output().first(kLength);
      samples.insert(samples.end(), output.begin(), output.end());
    }
  }
  return samples;
}

std::vector<int> Count(std::span<const int32_t> samples) {
  std::vector<int> counts(kSequences);
  for (; !samples.empty(); samples = samples.subspan(kLength)) {
    ++counts[static_cast<size_t>(NumberOf(samples.first(kLength)))];
  }
  return counts;
}

class SpeculationStatisticsTest : public testing::Test {
 protected:
  SpeculationStatisticsTest() {
    WriteRandomModel(target_, kVocab, 1, 0);
    WriteRandomModel(draft_, kVocab, 1, 0.6f);
  }
  TestFolder target_{"_target"};
  TestFolder draft_{"_draft"};
};

class SpeculationModesTest : public SpeculationStatisticsTest,
                             public testing::WithParamInterface<Case> {};

TEST_P(SpeculationModesTest, SequencesFollowTheTarget) {
  const Case& test = GetParam();
  Pair pair(target_.path(), draft_.path(), Options(test.mode, test.max_logit_rows));
  const std::vector<double> exact = ExactSequences(pair.target(), test.sampling);
  const std::vector<double> of_draft = ExactSequences(pair.draft(), test.sampling);
  const std::vector<int> counts = Count(SampleSequences(pair, test, 16000));
  for (size_t i = 0; i < exact.size(); ++i) {
    if (exact[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "sequence " << i << " was cut";
    }
  }
  // A correct sampler's score is near normal: beyond 4 by chance once in 30 000 runs.
  EXPECT_LT(ChiSquareScore(counts, exact), 4);
  EXPECT_GT(ChiSquareScore(counts, of_draft), 20) << "the draft's own sequences are others";
}

// The power of the test: with as many samples, one token in a hundred said by somebody else (always
// the same token, or one drawn evenly) is seen at the false-alarm rate of the tests above.
TEST_F(SpeculationStatisticsTest, SeesABiasOfOnePercent) {
  const Case test = {"power", VerifyMode::kRejection, {.temperature = 1}, 3, 0};
  Pair pair(target_.path(), draft_.path(), Options(test.mode));
  const std::vector<double> exact = ExactSequences(pair.target(), test.sampling);
  const std::vector<int32_t> samples = SampleSequences(pair, test, 60000);
  const double honest = ChiSquareScore(Count(samples), exact);
  EXPECT_LT(honest, 4);
  std::mt19937 random(1);
  std::vector<int32_t> one = samples;
  std::vector<int32_t> even = samples;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (random() % 100 != 0) continue;
    one[i] = kVocab - 1;
    even[i] = static_cast<int32_t>(random() % kVocab);
  }
  const double of_one = ChiSquareScore(Count(one), exact);
  const double of_even = ChiSquareScore(Count(even), exact);
  EXPECT_GT(of_one, 4);
  EXPECT_GT(of_even, 4);
  std::printf("scores: as served %.1f, 1 %% biased to one token %.1f, to all %.1f\n", honest,
              of_one, of_even);
}

SamplingParams Penalties() {
  SamplingParams sampling = {.temperature = 0.9f};
  sampling.repetition_penalty = 1.2f;
  sampling.presence_penalty = 0.3f;
  sampling.frequency_penalty = 0.6f;
  return sampling;
}

INSTANTIATE_TEST_SUITE_P(
    Modes, SpeculationModesTest,
    testing::Values(
        Case{"rejection", VerifyMode::kRejection, {.temperature = 1}, 3, 0},
        Case{"rejection_cold", VerifyMode::kRejection, {.temperature = 0.6f, .top_k = 4}, 2, 0},
        Case{"rejection_hot", VerifyMode::kRejection, {.temperature = 1.4f, .top_p = 0.85f}, 5, 0},
        Case{"rejection_min_p", VerifyMode::kRejection, {.temperature = 1, .min_p = 0.1f}, 1, 0},
        Case{"rejection_penalties", VerifyMode::kRejection, Penalties(), 3, 0},
        Case{"rejection_unsure", VerifyMode::kRejection, {.temperature = 1}, 4, 0.3f},
        // Fewer rows than drafts are wanted: some go without, and the rest is judged in slices.
        Case{"rejection_slices", VerifyMode::kRejection, {.temperature = 1}, 3, 0, 48},
        Case{"coupled", VerifyMode::kCoupled, {.temperature = 0.8f}, 3, 0.2f}),
    [](const testing::TestParamInfo<Case>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace runahead
