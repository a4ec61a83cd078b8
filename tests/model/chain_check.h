// A chain of passes against the same passes one by one, on any backend. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gtest/gtest.h"

#include "tests/model/test_model.h"

namespace runahead {

using Passes = std::vector<std::vector<SequenceRun>>;

inline std::vector<std::span<const SequenceRun>> SpansOf(const Passes& passes) {
  return {passes.begin(), passes.end()};
}

// By pass, then by run.
struct ChainAnswer {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> confidences;
};

// What a chain is, said with Run: each pass waits for what the one before drew.
inline ChainAnswer RunOneByOne(StepRunner& runner, Passes passes) {
  ChainAnswer answer;
  for (size_t p = 0; p < passes.size(); ++p) {
    for (size_t i = 0; i < passes[p].size() && p > 0; ++i) {
      passes[p][i].tokens = std::span(answer.tokens[p - 1]).subspan(i, 1);
    }
    const ModelOutput& output = runner.Run(passes[p]);
    answer.tokens.push_back(output.token_ids);
    answer.confidences.push_back(output.confidences);
  }
  return answer;
}

inline ChainAnswer RunChained(ChainRunner& runner, const Passes& passes) {
  const auto spans = SpansOf(passes);
  const ModelOutput& output = runner.RunChain(spans);
  ChainAnswer answer;
  for (size_t p = 0; p < passes.size(); ++p) {
    const auto tokens = output.TokensOf(static_cast<int>(p));
    answer.tokens.emplace_back(tokens.begin(), tokens.end());
    const auto begin = output.confidences.begin() + output.offsets[p];
    answer.confidences.emplace_back(begin, output.confidences.begin() + output.offsets[p + 1]);
  }
  return answer;
}

// Sequences that draft, with all that depends on no draft; what differs from pass to pass too.
class DraftingSequences {
 public:
  explicit DraftingSequences(TestModel& model) {
    SamplingParams filtered = {.temperature = 0.8f, .top_k = 20, .top_p = 0.9f, .seed = 2};
    SamplingParams listed = {.temperature = 1.1f, .seed = 3};
    listed.logit_bias = {{3, 2.5f}, {4, -100.0f}};
    listed.allowed_token_ids = {3, 4, 5, 60, 61, 62};
    sampling_ = {{.temperature = 0}, filtered, listed, {.temperature = 0.7f, .seed = 4}};
    for (size_t s = 0; s < sampling_.size(); ++s) {
      std::vector<int32_t>& ids = ids_.emplace_back();
      for (int i = 0; i < 9; ++i) ids.push_back(static_cast<int32_t>((7 * i + 13 * s) % 90));
      tables_.push_back(model.NewTable(64));
    }
  }

  // The tokens before the last ones: K/V that the chains stand on.
  void Prefill(StepRunner& runner) const {
    std::vector<SequenceRun> runs;
    for (size_t s = 0; s < ids_.size(); ++s) {
      const auto count = ids_[s].size() - static_cast<size_t>(num_first_tokens(s));
      runs.push_back({.tokens = std::span(ids_[s]).first(count), .block_table = tables_[s]});
    }
    runner.Run(runs);
  }

  // Five passes over 4, 4, 3, 2 and 1 of them. The second and third row of the first pass ride
  // along. keep_row: of the first that is kept, or -1.
  Passes Chain(int32_t keep_row) const {
    static constexpr int32_t kUnknown = 0;
    Passes passes;
    const int counts[] = {4, 4, 3, 2, 1};
    for (int p = 0; p < 5; ++p) {
      std::vector<SequenceRun>& runs = passes.emplace_back();
      for (size_t s = 0; s < static_cast<size_t>(counts[p]); ++s) {
        const int num_tokens = static_cast<int>(ids_[s].size());
        const int num_first = num_first_tokens(s);
        SequenceRun run = {.tokens = p == 0
                                         ? std::span(ids_[s]).last(static_cast<size_t>(num_first))
                                         : std::span(&kUnknown, 1),
                           .num_computed = p == 0 ? num_tokens - num_first : num_tokens + p - 1,
                           .block_table = tables_[s],
                           .wants_token = true,
                           .sampling = &sampling_[s],
                           .suppressed = suppressed_,
                           .num_suppressed_rows = p < 2 ? 1 : 0};
        const bool keeps = keep_row >= 0 && s > 0;
        run.proposal = Proposal{.noise = keep_row >= 0 ? DraftNoise(p) : NoisePurpose::kTarget,
                                .wants_confidence = s % 2 == 1 && p < 3,
                                .keep_row = keeps ? keep_row++ : -1};
        runs.push_back(run);
      }
    }
    return passes;
  }

  // What the target might have said: another chain begins.
  void Append(const ChainAnswer& answer) {
    for (size_t s = 0; s < ids_.size(); ++s) {
      ids_[s].push_back(answer.tokens[0][s]);
      if (s % 2 == 0) ids_[s].push_back(answer.tokens[1][s]);
    }
  }

 private:
  int num_first_tokens(size_t s) const { return s % 2 == 0 ? 2 : 1; }

  std::vector<SamplingParams> sampling_;
  std::vector<std::vector<int32_t>> ids_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<int32_t> suppressed_ = {1, 2};
};

// `num_chains` chains, each behind the other; both models are the same, with nothing computed.
inline void ExpectChainsEqualTheirPasses(TestModel& chained, TestModel& one_by_one, bool keeps,
                                         int num_chains) {
  constexpr int64_t kKept = 16;
  const int64_t vocab = chained.config().vocab_size;
  const auto keep = [&](TestModel& model) {
    DeviceBuffer buffer = model.backend().Allocate(kKept * vocab * 4, MemoryKind::kDevice);
    model.runner().KeepProposals({buffer.data(), DType::kF32, {kKept, vocab}});
    return buffer;
  };
  const auto contents = [&](TestModel& model, const DeviceBuffer& buffer) {
    std::vector<float> host(static_cast<size_t>(kKept * vocab));
    model.backend().CopyToHost(host.data(), buffer.data(), buffer.bytes());
    model.backend().Wait(model.backend().Record());
    return host;
  };
  DeviceBuffer kept[2];
  if (keeps) {
    kept[0] = keep(chained);
    kept[1] = keep(one_by_one);
  }
  DraftingSequences sequences(chained);
  sequences.Prefill(chained.runner());
  sequences.Prefill(one_by_one.runner());
  for (int chain = 0; chain < num_chains; ++chain) {
    const Passes passes = sequences.Chain(keeps ? 2 : -1);
    const ChainAnswer expected = RunOneByOne(one_by_one.runner(), passes);
    const ChainAnswer actual = RunChained(chained.runner(), passes);
    ASSERT_EQ(actual.tokens, expected.tokens) << "chain " << chain;
    EXPECT_EQ(actual.confidences, expected.confidences) << "chain " << chain;
    if (keeps) {
      EXPECT_EQ(contents(chained, kept[0]), contents(one_by_one, kept[1]));
    }
    sequences.Append(expected);
  }
}

}  // namespace runahead
