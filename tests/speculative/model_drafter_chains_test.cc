// Drafting in chains against drafting pass by pass: the same drafts, stops and states, whatever the
// requests ask for.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/speculative/pair_fixture.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

constexpr int kVocab = 96;

// With penalties once: such requests go pass by pass.
std::vector<SamplingParams> ChainParams() {
  std::vector<SamplingParams> params = ManyParams();
  params.pop_back();
  params[4].presence_penalty = 0;
  return params;
}

std::vector<PairSequence> SequencesOf(Pair& pair) {
  std::vector<PairSequence> sequences;
  for (const SamplingParams& sampling : ChainParams()) {
    const auto seed = static_cast<uint32_t>(sequences.size());
    sequences.push_back(
        pair.NewSequence(SomeTokens(17 + static_cast<int>(seed), kVocab, seed), sampling, 80));
    sequences.back().suppressed = {2, 40};
    sequences.back().min_tokens = 12;
  }
  return sequences;
}

// Steps of both, side by side; what the chains were.
std::vector<int> ExpectTheSame(const TestModelOptions& options, float min_confidence) {
  Pair chains(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), options, true);
  Pair passes(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), options);
  std::vector<PairSequence> chained = SequencesOf(chains);
  std::vector<PairSequence> one_by_one = SequencesOf(passes);
  int num_accepted = 0;
  for (int step = 0; step < 8; ++step) {
    for (auto* sequences : {&chained, &one_by_one}) {
      std::vector<PairSequence*> all;
      for (size_t s = 0; s < sequences->size(); ++s) {
        PairSequence& sequence = (*sequences)[s];
        sequence.num_drafts = (step + 3 * static_cast<int>(s)) % 8;
        sequence.min_confidence = s % 3 == 2 ? 0 : min_confidence;
        all.push_back(&sequence);
      }
      (sequences == &chained ? chains : passes).Step(all);
    }
    for (size_t s = 0; s < chained.size(); ++s) {
      const std::string where = "step " + std::to_string(step) + ", " + std::to_string(s);
      EXPECT_EQ(chained[s].num_proposed, one_by_one[s].num_proposed) << where;
      EXPECT_EQ(chained[s].num_accepted, one_by_one[s].num_accepted) << where;
      EXPECT_EQ(chained[s].draft_computed, one_by_one[s].draft_computed) << where;
      EXPECT_EQ(chained[s].tokens, one_by_one[s].tokens) << where;
      num_accepted += chained[s].num_accepted;
    }
  }
  EXPECT_GT(num_accepted, 0);
  EXPECT_THAT(passes.draft_runner().chain_lengths, IsEmpty());
  return chains.draft_runner().chain_lengths;
}

TEST(ModelDrafterChainsTest, ProposeWhatPassesDo) {
  for (const VerifyMode mode : {VerifyMode::kCoupled, VerifyMode::kRejection}) {
    const std::vector<int> lengths = ExpectTheSame(PairOptions({.verify_mode = mode}), 0);
    EXPECT_EQ(lengths.size(), 8u) << "one a step";
    EXPECT_EQ(*std::ranges::max_element(lengths), 7);
  }
}

TEST(ModelDrafterChainsTest, StopWherePassesDo) {
  for (const VerifyMode mode : {VerifyMode::kCoupled, VerifyMode::kRejection}) {
    EXPECT_GT(ExpectTheSame(PairOptions({.verify_mode = mode}), 0.02f).size(), 8u)
        << "short ones, one behind the other";
  }
}

TEST(ModelDrafterChainsTest, KeepWithinTheLimits) {
  const TestModelOptions options =
      PairOptions({.max_rows = 7, .max_sequences = 4, .max_logit_rows = 3});
  std::vector<std::vector<int32_t>> drafts[2];
  for (const bool has_chains : {false, true}) {
    Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), options, has_chains);
    std::vector<PairSequence> sequences = SequencesOf(pair);
    std::vector<DraftTask> tasks;
    for (size_t s = 0; s < sequences.size(); ++s) {
      sequences[s].num_drafts = static_cast<int>(s) + 1;
      tasks.push_back(pair.TaskOf(sequences[s]));
    }
    pair.drafter().Propose(tasks);
    for (const DraftPass& pass : pair.drafter().passes()) {
      EXPECT_LE(pass.num_rows, 7);
      EXPECT_LE(pass.num_sequences, 4);
    }
    for (const DraftTask& task : tasks) {
      drafts[has_chains].emplace_back(task.proposed().begin(), task.proposed().end());
    }
    EXPECT_EQ(pair.draft_runner().chain_lengths.size(), has_chains ? 2u : 0u);
  }
  EXPECT_EQ(drafts[0], drafts[1]);
}

TEST(ModelDrafterChainsTest, CutTheirPassesWhereATaskMayStop) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"), PairOptions(), true);
  PairSequence sequence =
      pair.NewSequence(SomeTokens(20, kVocab, 7), {.temperature = 1, .seed = 1}, 40);
  sequence.num_drafts = 7;
  DraftTask whole = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&whole, 1));
  EXPECT_EQ(whole.num_drafts, 7);
  EXPECT_THAT(pair.draft_runner().chain_lengths, ElementsAre(7));
  sequence.min_confidence = 1e-9f;  // never unsure
  DraftTask sure = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&sure, 1));
  EXPECT_THAT(sure.proposed(), ElementsAreArray(whole.proposed()));
  EXPECT_THAT(pair.draft_runner().chain_lengths, ElementsAre(7, 4, 3));
  sequence.min_confidence = 1.1f;  // always
  DraftTask unsure = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&unsure, 1));
  EXPECT_EQ(unsure.num_drafts, 1);
  EXPECT_EQ(unsure.num_computed_after, 20);
  EXPECT_THAT(pair.draft_runner().chain_lengths, ElementsAre(7, 4, 3, 4));
  EXPECT_EQ(pair.drafter().passes().size(), 5u) << "what was run is counted: four, and catching up";
  for (const DraftPass& pass : pair.drafter().passes()) EXPECT_GT(pass.time.count(), 0);
}

// Penalties count the drafts before each: they are needed on the host.
TEST(ModelDrafterChainsTest, LeaveOutWhoNeedsTheHost) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"), PairOptions(), true);
  SamplingParams penalized = {.temperature = 0};
  penalized.presence_penalty = 0.7f;
  PairSequence sequence = pair.NewSequence(SomeTokens(20, kVocab, 7), penalized, 40);
  sequence.num_drafts = 5;
  pair.Step(sequence);
  EXPECT_EQ(sequence.num_accepted, 5) << "it drafts for itself";
  EXPECT_THAT(pair.draft_runner().chain_lengths, IsEmpty());
}

}  // namespace
}  // namespace runahead
