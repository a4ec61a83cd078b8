// A target and a draft model over the same block ids, and an engine in small around them: tests of
// what the two compute together. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "speculative/draft_state.h"
#include "speculative/model_drafter.h"
#include "tests/model/test_model.h"

namespace runahead {

// Hands every step to a runner, and sees to it that no two sequences of one write the same slot.
// It has chains where it is given who runs them.
class WatchedRunner final : public StepRunner, public ChainRunner {
 public:
  WatchedRunner(StepRunner& inner, int block_size, ChainRunner* chains = nullptr)
      : inner_(inner), block_size_(block_size), chains_(chains) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    Watch(runs);
    return inner_.Run(runs);
  }
  const ModelOutput& RunChain(std::span<const std::span<const SequenceRun>> passes) override {
    for (const auto& runs : passes) Watch(runs);
    chain_lengths.push_back(static_cast<int>(passes.size()));
    return chains_->RunChain(passes);
  }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    inner_.CopyBlocks(from, to);
  }
  ChainRunner* chains() override { return chains_ != nullptr ? this : nullptr; }

  int num_rows = 0;  // run in all
  std::vector<int> chain_lengths;

 private:
  void Watch(std::span<const SequenceRun> runs) {
    std::set<int64_t> slots;
    for (const SequenceRun& run : runs) {
      for (size_t i = 0; i < run.tokens.size(); ++i) {
        const auto position = static_cast<size_t>(run.num_computed) + i;
        const auto size = static_cast<size_t>(block_size_);
        const int64_t slot = int64_t{run.block_table[position / size]} * block_size_ +
                             static_cast<int64_t>(position % size);
        EXPECT_TRUE(slots.insert(slot).second) << "two sequences write slot " << slot;
      }
      num_rows += static_cast<int>(run.tokens.size());
    }
  }

  StepRunner& inner_;
  int block_size_;
  ChainRunner* chains_;
};

struct PairSequence {
  std::vector<int32_t> tokens;  // prompt and output
  size_t num_prompt = 0;
  SamplingParams sampling;
  uint32_t choice = 0;
  std::vector<int32_t> table;
  int target_computed = 0;
  int draft_computed = 0;
  TokenCounts counts;
  // Wishes for the next step.
  int num_drafts = 0;
  int num_catch_up = std::numeric_limits<int>::max() / 2;
  float min_confidence = 0;
  std::vector<int32_t> suppressed;  // before min_tokens
  int min_tokens = 0;
  // Of the last step.
  int num_proposed = 0;
  int num_accepted = 0;

  std::span<const int32_t> prompt() const { return std::span(tokens).first(num_prompt); }
  std::span<const int32_t> output() const { return std::span(tokens).subspan(num_prompt); }
};

class Pair {
 public:
  Pair(const std::string& target, const std::string& draft, const TestModelOptions& options,
       bool has_chains = false)
      : block_size_(options.limits.block_size),
        target_(target, options),
        draft_(draft, CoupledOptions(options)),
        watched_(draft_.runner(), block_size_, has_chains ? &draft_.runner() : nullptr),
        drafter_(watched_, options.limits, clock_, NumKeptRows()) {
    draft_.runner().KeepProposals(target_.runner().draft_logits());
  }

  TestModel& target() { return target_; }
  TestModel& draft() { return draft_; }
  WatchedRunner& draft_runner() { return watched_; }
  ModelDrafter& drafter() { return drafter_; }

  PairSequence NewSequence(std::vector<int32_t> prompt, const SamplingParams& sampling,
                           int max_tokens) {
    PairSequence sequence;
    sequence.tokens = std::move(prompt);
    sequence.sampling = sampling;
    sequence.num_prompt = sequence.tokens.size();
    sequence.table = target_.NewTable(static_cast<int>(sequence.num_prompt) + max_tokens);
    return sequence;
  }

  DraftTask TaskOf(PairSequence& sequence) {
    DraftTask task;
    task.tokens = sequence.tokens;
    task.max_drafts = sequence.num_drafts;
    task.state = &state_;
    task.run = {.block_table = sequence.table,
                .wants_token = true,
                .sampling = &sequence.sampling,
                .choice = sequence.choice,
                .prompt = sequence.prompt(),
                .output = sequence.output(),
                .counts = &sequence.counts,
                .suppressed = sequence.suppressed,
                .num_suppressed_rows = SuppressedRows(sequence, sequence.num_drafts)};
    task.num_computed = sequence.draft_computed;
    task.num_catch_up = sequence.num_catch_up;
    task.min_confidence = sequence.min_confidence;
    return task;
  }

  // One step of all: the draft model proposes, the target judges, what it says is appended.
  void Step(std::span<PairSequence*> sequences) {
    std::vector<DraftTask> tasks;
    for (PairSequence* sequence : sequences) tasks.push_back(TaskOf(*sequence));
    drafter_.Propose(tasks);
    std::vector<std::vector<int32_t>> rows;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const PairSequence& sequence = *sequences[s];
      rows.emplace_back(sequence.tokens.begin() + sequence.target_computed, sequence.tokens.end());
      rows[s].insert(rows[s].end(), tasks[s].proposed().begin(), tasks[s].proposed().end());
    }
    std::vector<SequenceRun> runs;
    for (size_t s = 0; s < sequences.size(); ++s) {
      PairSequence& sequence = *sequences[s];
      SequenceRun run = tasks[s].run;
      run.tokens = rows[s];
      run.num_computed = sequence.target_computed;
      run.num_drafts = tasks[s].num_drafts;
      run.num_suppressed_rows = SuppressedRows(sequence, tasks[s].num_drafts);
      run.draft_rows = tasks[s].proposed_rows();
      runs.push_back(run);
    }
    const ModelOutput& output = target_.runner().Run(runs);
    for (size_t s = 0; s < sequences.size(); ++s) {
      PairSequence& sequence = *sequences[s];
      const auto emitted = output.TokensOf(static_cast<int>(s));
      sequence.num_proposed = tasks[s].num_drafts;
      sequence.num_accepted = static_cast<int>(emitted.size()) - 1;
      sequence.target_computed = static_cast<int>(sequence.tokens.size()) + sequence.num_accepted;
      sequence.draft_computed = std::min(tasks[s].num_computed_after, sequence.target_computed);
      sequence.tokens.insert(sequence.tokens.end(), emitted.begin(), emitted.end());
    }
  }
  void Step(PairSequence& sequence) {
    PairSequence* one = &sequence;
    Step(std::span(&one, 1));
  }

 private:
  static TestModelOptions CoupledOptions(TestModelOptions options) {
    options.limits.verify_mode = VerifyMode::kCoupled;
    return options;
  }
  int NumKeptRows() { return static_cast<int>(target_.runner().draft_logits().dim(0)); }

  static int SuppressedRows(const PairSequence& sequence, int num_drafts) {
    return std::clamp(sequence.min_tokens - static_cast<int>(sequence.output().size()), 0,
                      1 + num_drafts);
  }

  int block_size_;
  SteadyClock clock_;
  TestModel target_;
  TestModel draft_;
  WatchedRunner watched_;
  DraftState state_;
  ModelDrafter drafter_;
};

// Pseudo-random ids.
inline std::vector<int32_t> SomeTokens(int count, int vocab, uint32_t seed) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    ids.push_back(static_cast<int32_t>((seed >> 8) % static_cast<uint32_t>(vocab)));
  }
  return ids;
}

// A small pair on the CPU; of `limits` only what is smaller holds.
inline TestModelOptions PairOptions(RunnerLimits limits = {}) {
  limits.max_rows = std::min(limits.max_rows, 256);
  limits.max_sequences = std::min(limits.max_sequences, 32);
  limits.max_logit_rows = std::min(limits.max_logit_rows, 128);
  limits.max_context = std::min(limits.max_context, 256);
  return {.backend = "cpu", .num_blocks = 128, .limits = limits};
}

// Every kind of request: greedy, sampled, filtered, with penalties, biases, bans and logprobs.
inline std::vector<SamplingParams> ManyParams() {
  SamplingParams penalized = {.temperature = 0.9f, .top_p = 0.9f, .seed = 5};
  penalized.repetition_penalty = 1.3f;
  penalized.frequency_penalty = 0.5f;
  SamplingParams biased = {.temperature = 1.2f, .min_p = 0.02f, .seed = 6};
  biased.logit_bias = {{3, 2.0f}, {5, -100.0f}};
  biased.banned_token_ids = {9};
  SamplingParams allowed = {.temperature = 1, .seed = 7};
  allowed.allowed_token_ids = {1, 4, 9, 16, 25, 36, 49, 64, 81};
  allowed.presence_penalty = 1;
  SamplingParams logprobs = {.temperature = 0.7f, .top_k = 12, .seed = 8, .num_logprobs = 5};
  SamplingParams greedy = {.temperature = 0};
  greedy.presence_penalty = 0.7f;
  return {{.temperature = 0},
          {.temperature = 1.5f, .seed = 3},
          penalized,
          biased,
          allowed,
          logprobs,
          greedy};
}

}  // namespace runahead
