// FakeRunner: a model whose K/V can be checked. Its cache row for a token is the hash of all tokens
// up to it, and its next token a function of that hash, so any row that is missing, stale or of
// another sequence changes what it says, and is reported at once. It runs target and draft. One
// thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "gtest/gtest.h"

#include "kvcache/block_pool.h"
#include "scheduler/batch.h"
#include "scheduler/sequence.h"

namespace runahead {

struct FakeOutput {
  std::vector<int32_t> token_ids;
  std::vector<int32_t> offsets;
};

class FakeRunner {
 public:
  static constexpr int kVocabSize = 64;

  FakeRunner(BlockPool& pool, uint32_t seed) : pool_(pool), random_(seed) {
    const auto num_rows = static_cast<size_t>(pool.num_blocks() * pool.block_size());
    for (auto& rows : rows_) rows.assign(num_rows, 0);
  }

  // Of 100 drafts, how many are what the target says.
  void set_draft_quality(int percent) { draft_quality_ = percent; }

  // One step: copies, drafts, the target's forward pass and verification.
  FakeOutput Run(Batch& batch) {
    CopyBlocks(batch);
    FakeOutput out;
    out.offsets.push_back(0);
    for (ScheduledSequence& run : batch.sequences) {
      Propose(run);
      Verify(run, out.token_ids);
      out.offsets.push_back(static_cast<int32_t>(out.token_ids.size()));
    }
    return out;
  }

  // The tokens that a request's choice must come to, however it is served.
  static std::vector<int32_t> Continue(const RequestSpec& spec, int choice, int max_context) {
    std::vector<int32_t> output;
    uint64_t state = kStart;
    for (const int32_t token : spec.prompt) state = Next(state, token);
    const int num_tokens =
        std::min(spec.max_tokens, max_context - static_cast<int>(spec.prompt.size()));
    while (static_cast<int>(output.size()) < num_tokens) {
      const bool suppressed = static_cast<int>(output.size()) < spec.min_tokens;
      output.push_back(Sample(state, choice, suppressed ? spec.stop_ids : std::vector<int32_t>()));
      state = Next(state, output.back());
      if (!suppressed && std::ranges::count(spec.stop_ids, output.back()) > 0) break;
    }
    return output;
  }

 private:
  static constexpr uint64_t kStart = 0x9e3779b97f4a7c15u;

  static uint64_t Mix(uint64_t x) {  // splitmix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  static uint64_t Next(uint64_t state, int32_t token) {
    return Mix(state + static_cast<uint64_t>(token) + kStart);
  }
  static int32_t Sample(uint64_t state, int choice, std::span<const int32_t> suppressed) {
    for (uint64_t attempt = 0;; ++attempt) {
      const uint64_t drawn = Mix(state + static_cast<uint64_t>(choice) * 77 + attempt * 991);
      const auto token = static_cast<int32_t>(drawn % kVocabSize);
      if (std::ranges::count(suppressed, token) == 0) return token;
    }
  }

  uint64_t& Row(CacheModel model, const Sequence& sequence, int position) {
    const int block_size = pool_.block_size();
    const auto ids = sequence.block_table().ids();
    const auto block = ids[static_cast<size_t>(position / block_size)];
    return rows_[static_cast<size_t>(model)]
                [static_cast<size_t>(block * block_size + position % block_size)];
  }

  // Valid rows that a step must not touch: others may rely on them.
  bool IsRecorded(CacheModel model, const Sequence& sequence, int position) {
    const BlockId id = sequence.block_table().block(position / pool_.block_size());
    return position % pool_.block_size() < pool_.num_valid(id, model);
  }

  // Checks rows [0, begin) of the model's cache, and computes rows [begin, end) of tokens and
  // drafts.
  void Compute(CacheModel model, const Sequence& sequence, int begin, int end) {
    uint64_t state = kStart;
    for (int i = 0; i < end; ++i) {
      const bool drafted = i >= sequence.num_tokens();
      state =
          Next(state, drafted ? sequence.drafts()[static_cast<size_t>(i - sequence.num_tokens())]
                              : sequence.tokens()[static_cast<size_t>(i)]);
      uint64_t& row = Row(model, sequence, i);
      if (i < begin || IsRecorded(model, sequence, i)) {
        ASSERT_EQ(row, state) << "K/V of position " << i << " is not this sequence's; begin "
                              << begin;
      }
      row = state;
    }
  }

  void CopyBlocks(const Batch& batch) {
    const auto block_size = pool_.block_size();
    for (size_t i = 0; i < batch.copy_from.size(); ++i) {
      for (auto& rows : rows_) {
        std::copy_n(rows.begin() + batch.copy_from[i] * block_size, block_size,
                    rows.begin() + batch.copy_to[i] * block_size);
      }
    }
  }

  // A drafter: comes level (all but the last token), then runs that one and all drafts but the
  // last. Its proposals are right or wrong, and sometimes fewer than it may make. One that is not
  // level stands for a drafter without a model.
  void Propose(ScheduledSequence& run) {
    Sequence& sequence = *run.sequence;
    const int num_ran = sequence.num_computed(CacheModel::kDraft);
    const int num_level = std::min(num_ran + run.num_catch_up, sequence.num_tokens() - 1);
    if (run.num_draft > 0 && random_() % 4 == 0) {
      run.LowerDraft(static_cast<int>(random_() % static_cast<uint32_t>(run.num_draft)));
    }
    std::vector<int32_t> drafts;
    uint64_t state = kStart;
    for (const int32_t token : sequence.tokens()) state = Next(state, token);
    for (int i = 0; i < run.num_draft; ++i) {
      const int32_t right = Sample(state, sequence.choice(), Suppressed(sequence, i));
      const bool agrees = static_cast<int>(random_() % 100) < draft_quality_;
      drafts.push_back(agrees ? right : (right + 1) % kVocabSize);
      state = Next(state, drafts.back());
    }
    sequence.SetDrafts(drafts);
    const bool is_level = num_level == sequence.num_tokens() - 1;
    const int num_now = num_level + (is_level ? run.num_draft : 0);
    if (num_now == num_ran) return;
    Compute(CacheModel::kDraft, sequence, num_ran, num_now);
    sequence.SetDraftComputed(num_now);
  }

  static std::span<const int32_t> Suppressed(const Sequence& sequence, int row) {
    return row < sequence.num_suppressed_rows() ? sequence.stop_ids() : std::span<const int32_t>();
  }

  void Verify(const ScheduledSequence& run, std::vector<int32_t>& token_ids) {
    const Sequence& sequence = *run.sequence;
    const int begin = sequence.num_computed();
    const int end = begin + run.num_tokens;
    ASSERT_EQ(sequence.TokensToRun(run.num_tokens).size(), static_cast<size_t>(run.num_tokens));
    ASSERT_EQ(run.wants_token,
              end - run.num_draft == sequence.num_tokens() && sequence.max_tokens() > 0);
    Compute(CacheModel::kTarget, sequence, begin, end);
    if (!run.wants_token) return;
    for (int row = 0; row <= run.num_draft; ++row) {
      const uint64_t state = Row(CacheModel::kTarget, sequence, sequence.num_tokens() - 1 + row);
      token_ids.push_back(Sample(state, sequence.choice(), Suppressed(sequence, row)));
      if (row < run.num_draft && sequence.drafts()[static_cast<size_t>(row)] != token_ids.back())
        return;
    }
  }

  BlockPool& pool_;
  std::mt19937 random_;
  int draft_quality_ = 70;
  std::vector<uint64_t> rows_[kNumCacheModels];  // [num_blocks * block_size]
};

}  // namespace runahead
