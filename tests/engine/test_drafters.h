// Drafters and deciders that put the engine to the test. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

#include "core/check.h"
#include "engine/draft_decider.h"
#include "fake_runner.h"
#include "speculative/drafter.h"

namespace runahead {

// Drafts for FakeRunner's sequences: of 100 proposals about `quality` are what the target will say.
// It has K/V of its own, in the same blocks: rows that its num_computed promises are checked, so a
// wrong promise is seen at once. What it proposes depends on the sequence's tokens alone.
class FakeDraftModel final : public Drafter {
 public:
  FakeDraftModel(int num_blocks, int block_size, int vocab_size, int quality)
      : block_size_(block_size),
        vocab_size_(vocab_size),
        quality_(quality),
        rows_(static_cast<size_t>(num_blocks) * static_cast<size_t>(block_size)) {}

  int fails_at = -1;             // Propose throws at this call
  int overreach = 0;             // tries to propose so many more than it may
  std::optional<int32_t> plant;  // proposed instead of its last draft

  int num_calls() const { return num_calls_; }
  int64_t num_rows_checked() const { return num_rows_checked_; }

  DrafterKind kind() const override { return DrafterKind::kModel; }

  void Propose(std::span<DraftTask> tasks) override {
    if (num_calls_++ == fails_at) throw std::runtime_error("the draft model's device is lost");
    for (DraftTask& task : tasks) ProposeOne(task);
  }

  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    for (size_t i = 0; i < from.size(); ++i) {
      for (int row = 0; row < block_size_; ++row) RowAt(to[i], row) = RowAt(from[i], row);
    }
  }

 private:
  uint64_t& RowAt(int32_t block, int row) {
    return rows_.at(static_cast<size_t>(block) * static_cast<size_t>(block_size_) +
                    static_cast<size_t>(row));
  }
  uint64_t& RowOf(const DraftTask& task, int position) {
    const auto index = static_cast<size_t>(position / block_size_);
    RA_CHECK_LT(index, task.run.block_table.size());
    return RowAt(task.run.block_table[index], position % block_size_);
  }

  void ProposeOne(DraftTask& task) {
    const int num_tokens = static_cast<int>(task.tokens.size());
    const int num_level = std::min(task.num_computed + task.num_catch_up, num_tokens - 1);
    uint64_t hash = 0;
    for (int i = 0; i < num_tokens; ++i) {
      hash = FoldToken(hash, task.tokens[static_cast<size_t>(i)]);
      if (i < task.num_computed) {
        RA_CHECK_EQ(RowOf(task, i), hash);
        ++num_rows_checked_;
      } else if (i < num_level) {
        RowOf(task, i) = hash;
      }
    }
    task.num_computed_after = num_level;
    if (num_level < num_tokens - 1 || task.max_drafts == 0) return;
    RowOf(task, num_tokens - 1) = hash;
    Draft(task, hash);
  }

  void Draft(DraftTask& task, uint64_t hash) {
    const int num_tokens = static_cast<int>(task.tokens.size());
    const int wanted = std::min(task.max_drafts + overreach, kMaxDrafts);
    for (int i = 0; i < wanted; ++i) {
      const auto suppressed =
          i < task.run.num_suppressed_rows ? task.run.suppressed : std::span<const int32_t>();
      int32_t draft = FakeToken(hash, *task.run.sampling, task.run.choice, vocab_size_, suppressed);
      const bool agrees = static_cast<int>(FoldToken(hash, 77) % 100) < quality_;
      if (!agrees) draft = (draft + 1) % vocab_size_;
      task.drafts[static_cast<size_t>(i)] = draft;
      hash = FoldToken(hash, draft);
      if (i + 1 < task.max_drafts) RowOf(task, num_tokens + i) = hash;
    }
    if (plant) task.drafts[static_cast<size_t>(task.max_drafts - 1)] = *plant;
    task.num_drafts = wanted;
    task.num_computed_after = num_tokens + task.max_drafts - 1;
  }

  int block_size_;
  int vocab_size_;
  int quality_;
  std::vector<uint64_t> rows_;  // hash of all tokens up to the row's
  int num_calls_ = 0;
  int64_t num_rows_checked_ = 0;
};

// Grants every sequence k drafts of its last offer, which is the model's where there is one.
class FixedDecider final : public DraftDecider {
 public:
  explicit FixedDecider(int num_drafts) : num_drafts_(num_drafts) {}

  void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) override {
    ++num_decisions;
    last_step = step;
    for (const PolicySequence& sequence : step.sequences) {
      DraftChoice& choice = choices.emplace_back();
      if (sequence.offers.empty()) continue;
      const DraftOffer& offer = sequence.offers.back();
      choice.drafter = offer.drafter;
      choice.match_length = offer.match_length;
      choice.num_drafts = std::min({num_drafts_, offer.max_drafts, sequence.max_drafts});
      if (offer.drafter == DrafterKind::kModel) choice.num_catch_up = sequence.num_missing;
    }
  }

  void Observe(const StepOutcome& outcome) override {
    last_outcome = outcome;
    sequences.assign(outcome.sequences.begin(), outcome.sequences.end());
    for (const StepOutcome::Sequence& sequence : outcome.sequences) {
      if (sequence.history != nullptr) ++num_histories;
    }
  }

  int num_decisions = 0;
  int num_histories = 0;
  PolicyStep last_step;                          // its spans may dangle
  StepOutcome last_outcome;                      // likewise
  std::vector<StepOutcome::Sequence> sequences;  // of the last outcome

 private:
  int num_drafts_;
};

// Any offer, any k, the draft model caught up in full, in part, for nothing, or not at all. Now and
// then it wants more than is allowed.
class RandomDecider final : public DraftDecider {
 public:
  explicit RandomDecider(uint64_t seed) : random_(seed) {}

  void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) override {
    for (const PolicySequence& sequence : step.sequences) choices.push_back(Choose(sequence));
  }
  void Observe(const StepOutcome&) override {}

 private:
  int Draw(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }

  DraftChoice Choose(const PolicySequence& sequence) {
    DraftChoice choice;
    if (sequence.offers.empty() || Draw(5) == 0) return choice;
    const auto index = static_cast<size_t>(Draw(static_cast<int>(sequence.offers.size())));
    const DraftOffer& offer = sequence.offers[index];
    choice.drafter = offer.drafter;
    choice.num_drafts = Draw(std::min(offer.max_drafts, sequence.max_drafts + 2) + 1);
    const int catch_up = Draw(4);
    if (sequence.num_missing > 0 && catch_up == 0) choice.num_catch_up = Draw(sequence.num_missing);
    if (catch_up > 0) choice.num_catch_up = sequence.num_missing;
    const bool is_behind = choice.num_catch_up < sequence.num_missing;
    if (offer.drafter == DrafterKind::kModel && is_behind) choice.num_drafts = 0;
    return choice;
  }

  std::mt19937_64 random_;
};

}  // namespace runahead
