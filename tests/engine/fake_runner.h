// FakeRunner: a StepRunner whose next token is a hash of every token it can see through a simulated
// paged KV cache, so that a wrong block table, a stale block or a wrong num_computed changes the
// text. Engine thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "core/check.h"
#include "model/model_runner.h"

namespace runahead {

// Folds one more token into the hash of those before it.
inline uint64_t FoldToken(uint64_t hash, int32_t token) {
  uint64_t z = hash + 0x9E3779B97F4A7C15ull * (static_cast<uint64_t>(token) + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// The token after those folded into `hash`; greedy requests have no noise.
inline int32_t FakeToken(uint64_t hash, const SamplingParams& sampling, uint32_t choice,
                         int vocab_size, std::span<const int32_t> suppressed = {}) {
  uint64_t draw = hash;
  if (!sampling.IsGreedy()) {
    draw = FoldToken(FoldToken(draw, static_cast<int32_t>(sampling.seed)),
                     static_cast<int32_t>(choice));
  }
  for (;; draw = FoldToken(draw, 0)) {
    const auto token = static_cast<int32_t>(draw % static_cast<uint64_t>(vocab_size));
    if (std::find(suppressed.begin(), suppressed.end(), token) == suppressed.end()) return token;
  }
}

inline float FakeLogprob(uint64_t hash) { return -static_cast<float>(hash % 1000) / 100.0f; }

class FakeRunner final : public StepRunner {
 public:
  FakeRunner(int num_blocks, int block_size, int vocab_size)
      : block_size_(block_size),
        vocab_size_(vocab_size),
        slots_(static_cast<size_t>(num_blocks) * static_cast<size_t>(block_size)) {}

  // Runs at the start of every step, on the engine's thread; it may throw, block, or move a manual
  // clock.
  std::function<void(std::span<const SequenceRun>)> before_run;

  // As a device does that computes while the host goes on.
  bool is_asynchronous = false;

  int num_steps() const { return num_steps_; }
  bool DoMeanwhile(std::function<void()> work) override {
    if (is_asynchronous) meanwhile_ = std::move(work);
    return is_asynchronous;
  }

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    if (before_run) before_run(runs);
    if (meanwhile_) meanwhile_();
    ++num_steps_;
    output_.token_ids.clear();
    output_.logprobs.clear();
    output_.offsets.assign(1, 0);
    output_.prompt_logprobs.assign(runs.size(), {});
    for (size_t s = 0; s < runs.size(); ++s) {
      RunSequence(runs[s], output_.prompt_logprobs[s]);
      output_.offsets.push_back(static_cast<int32_t>(output_.token_ids.size()));
    }
    return output_;
  }

  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    for (size_t i = 0; i < from.size(); ++i) {
      for (int row = 0; row < block_size_; ++row) {
        slots_[Slot(to[i], row)] = slots_[Slot(from[i], row)];
      }
    }
  }

 private:
  struct KeyValue {  // what stands for K and V of one token
    int32_t token = -1;
    int position = -1;
  };

  size_t Slot(int32_t block, int row) const {
    return static_cast<size_t>(block) * static_cast<size_t>(block_size_) + static_cast<size_t>(row);
  }
  KeyValue& At(const SequenceRun& run, int position) {
    const auto block = static_cast<size_t>(position / block_size_);
    RA_CHECK_LT(block, run.block_table.size());
    return slots_.at(Slot(run.block_table[block], position % block_size_));
  }

  void RunSequence(const SequenceRun& run, std::vector<PositionLogprobs>& prompt_logprobs) {
    uint64_t hash = 0;
    for (int position = 0; position < run.num_computed; ++position) {
      const KeyValue& kv = At(run, position);
      RA_CHECK_EQ(kv.position, position);
      hash = FoldToken(hash, kv.token);
    }
    const int num_tokens = static_cast<int>(run.tokens.size());
    std::vector<uint64_t> hashes;  // of all up to and with each token of the run
    for (int i = 0; i < num_tokens; ++i) {
      const int32_t token = run.tokens[static_cast<size_t>(i)];
      RA_CHECK(token >= 0 && token < vocab_size_);
      At(run, run.num_computed + i) = {token, run.num_computed + i};
      hashes.push_back(hash = FoldToken(hash, token));
    }
    if (run.wants_prompt_logprobs) JudgePrompt(run, hashes, prompt_logprobs);
    if (run.wants_token) Sample(run, hashes);
  }

  void JudgePrompt(const SequenceRun& run, std::span<const uint64_t> hashes,
                   std::vector<PositionLogprobs>& out) const {
    for (size_t i = 0; i < hashes.size(); ++i) {
      const int32_t next = i + 1 < run.tokens.size() ? run.tokens[i + 1] : run.next_prompt_token;
      if (next >= 0) out.push_back(Judge(next, hashes[i]));
    }
  }

  void Sample(const SequenceRun& run, std::span<const uint64_t> hashes) {
    const int first_row = static_cast<int>(run.tokens.size()) - run.num_drafts - 1;
    for (int row = 0; row <= run.num_drafts; ++row) {
      const uint64_t hash = hashes[static_cast<size_t>(first_row + row)];
      const auto suppressed =
          row < run.num_suppressed_rows ? run.suppressed : std::span<const int32_t>();
      const int32_t token = FakeToken(hash, *run.sampling, run.choice, vocab_size_, suppressed);
      output_.token_ids.push_back(token);
      output_.logprobs.push_back(Judge(token, hash));
      if (row < run.num_drafts && token != run.tokens[static_cast<size_t>(first_row + row + 1)])
        return;
    }
  }

  PositionLogprobs Judge(int32_t token, uint64_t hash) const {
    return {.chosen = {token, FakeLogprob(hash), 1}, .top = {}};
  }

  int block_size_;
  int vocab_size_;
  std::function<void()> meanwhile_;
  std::vector<KeyValue> slots_;
  ModelOutput output_;
  int num_steps_ = 0;
};

// What FakeRunner gives a request served alone: `count` tokens of one choice, or fewer where a stop
// id ends them.
inline std::vector<int32_t> FakeTokens(std::span<const int32_t> prompt, int count,
                                       const SamplingParams& sampling, int vocab_size,
                                       uint32_t choice = 0, std::span<const int32_t> stop_ids = {},
                                       int min_tokens = 0) {
  uint64_t hash = 0;
  for (const int32_t token : prompt) hash = FoldToken(hash, token);
  std::vector<int32_t> tokens;
  while (static_cast<int>(tokens.size()) < count) {
    const bool may_stop = static_cast<int>(tokens.size()) >= min_tokens;
    const int32_t token = FakeToken(hash, sampling, choice, vocab_size,
                                    may_stop ? std::span<const int32_t>() : stop_ids);
    tokens.push_back(token);
    if (may_stop && std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end()) break;
    hash = FoldToken(hash, token);
  }
  return tokens;
}

}  // namespace runahead
