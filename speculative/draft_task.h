// DraftTask: what a drafter is told about one sequence, and what it answers. Value type; engine
// thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/speculation.h"
#include "model/model_runner.h"

namespace runahead {

struct DraftState;  // speculative/draft_state.h

// Drafts continue `tokens`: draft i stands at position tokens.size() + i.
struct DraftTask {
  std::span<const int32_t> tokens = {};  // prompt and output, as the target has verified them
  int max_drafts = 0;                    // k <= kMaxDrafts; 0: catch up only
  DraftState* state = nullptr;           // the sequence's own, never null

  // For drafters that run a model. `run` holds what a run of the sequence's last token would hold:
  // block table (which covers tokens.size() + max_drafts tokens), sampling, choice, prompt, output,
  // counts, and the suppressed ids of 1 + max_drafts rows. Its tokens, num_computed, num_drafts and
  // proposal are the drafter's to fill.
  SequenceRun run = {};
  int num_computed = 0;      // tokens whose draft K/V is valid
  int num_catch_up = 0;      // of those missing before the last token, how many it may run now
  float min_confidence = 0;  // stop drafting behind a token its model gives less probability than

  // Answer.
  std::array<int32_t, kMaxDrafts> drafts = {};
  int num_drafts = 0;
  int num_computed_after = 0;  // tokens and drafts whose draft K/V is valid now
  // Rejection mode: the row of the target's draft_logits() that each draft was drawn from, for
  // SequenceRun::draft_rows; -1: one-hot.
  std::array<int32_t, kMaxDrafts> draft_rows = NoRows();

  std::span<const int32_t> proposed() const {
    return std::span(drafts).first(static_cast<size_t>(num_drafts));
  }
  std::span<const int32_t> proposed_rows() const {
    return std::span(draft_rows).first(static_cast<size_t>(num_drafts));
  }

  static constexpr std::array<int32_t, kMaxDrafts> NoRows() {
    std::array<int32_t, kMaxDrafts> rows = {};
    for (int32_t& row : rows) row = -1;
    return rows;
  }
};

}  // namespace runahead
