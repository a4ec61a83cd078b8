// SamplingInput: the arguments from logits to tokens of one slice of a step. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/sampling_args.h"
#include "model/model_runner.h"

namespace runahead {

// A slice is whole sequences, in order; row r of it is one logit row. Vectors keep their memory
// from step to step.
class SamplingInput {
 public:
  SamplingInput(int vocab_size, VerifyMode mode);

  void Clear();
  // Adds the 1 + num_drafts last rows of run `sequence`, whose rows of the step end before
  // `row_end`.
  void Add(const SequenceRun& run, int sequence, int row_end);

  int num_rows() const { return static_cast<int>(step_rows_.size()); }
  int num_logprob_rows() const { return static_cast<int>(logprob_rows_.size()); }
  std::span<const int32_t> step_rows() const { return step_rows_; }        // [R] rows of the step
  std::span<const int32_t> logprob_rows() const { return logprob_rows_; }  // rows of the slice
  std::span<const int32_t> sequences() const { return sequences_; }        // indices of the runs
  int max_top_logprobs() const { return max_top_logprobs_; }

  ProcessLogitsArgs ProcessArgs(const TensorView& logits, const SurvivorsView& survivors) const;
  // Outputs land in token_ids and num_accepted below. `draft_logits`: what the runs' draft_rows
  // name.
  SampleVerifyArgs SampleArgs(const TensorView& logits, const SurvivorsView& survivors,
                              const TensorView& draft_logits);

  std::span<const int32_t> token_ids() const { return token_ids_; }  // [R]
  int num_emitted(int i) const { return num_accepted_[static_cast<size_t>(i)] + 1; }
  int first_row(int i) const { return row_offsets_[static_cast<size_t>(i)]; }

 private:
  bool Has(const SequenceRun& run, int32_t token) const;
  void AddAllowed(const SequenceRun& run);
  void AddAdjusts(const SequenceRun& run, int row);
  TokenAdjust& AdjustOf(int32_t token, const TokenCounts* counts);

  VerifyMode mode_;
  std::vector<int32_t> step_rows_;
  std::vector<int32_t> logprob_rows_;
  std::vector<int32_t> sequences_;
  int max_top_logprobs_ = 0;
  std::vector<LogitParams> params_;
  std::vector<TokenAdjust> adjusts_;
  std::vector<int32_t> adjust_offsets_;
  std::vector<int32_t> allowed_;
  std::vector<int32_t> allowed_offsets_;
  std::vector<SampleRow> rows_;
  std::vector<int32_t> row_offsets_;
  std::vector<int32_t> drafts_;
  std::vector<int32_t> draft_rows_;
  std::vector<int32_t> token_ids_;
  std::vector<int32_t> num_accepted_;
  TokenCounts uncached_counts_;
  // Where a token that the counts do not hold stands in adjusts_: valid where it lies in the
  // current row's part and names the token back, so that it needs no clearing.
  std::vector<int32_t> adjust_index_;  // [V]
};

}  // namespace runahead
