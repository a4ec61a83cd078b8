// SamplingInput: the arguments from logits to tokens of one slice of a step. Engine thread only.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/sampling_args.h"
#include "model/model_runner.h"

namespace runahead {

// How long the arguments of a slice are once they are padded: what a graph of them depends on.
struct SliceBuckets {
  int num_rows = 0;
  int num_logprob_rows = 0;
  // Whether adjustments and allowed ids are few enough to be padded; else they are as they are, and
  // no graph's.
  bool has_lists = false;
  int num_adjusts = 0;
  int num_allowed = 0;

  auto operator<=>(const SliceBuckets&) const = default;
};

// -1 for a proposal: no client sees it as such.
int NumLogprobs(const SequenceRun& run);

// A slice is whole sequences, in order; row r of it is one logit row. Vectors keep their memory
// from step to step.
class SamplingInput {
 public:
  // Adjustments and allowed ids of a slice that a graph has places for.
  static constexpr int kMaxListed = 2048;

  SamplingInput(int vocab_size, VerifyMode mode, int max_rows);

  void Clear();
  // Adds the 1 + num_drafts last rows of run `sequence`, whose rows of the step end before
  // `row_end`.
  void Add(const SequenceRun& run, int sequence, int row_end);

  // Makes the slice one of a graph's: adds rows of no sequence behind the others, and pads the
  // lists. From then on all spans below stand where they stand in every padded slice. What is
  // counted stays as it was.
  SliceBuckets PadTo(int num_rows, int num_logprob_rows);

  int num_rows() const { return num_rows_; }
  int num_logprob_rows() const { return num_logprob_rows_; }
  // Padding included.
  std::span<const int32_t> step_rows() const { return step_rows_; }        // [R] rows of the step
  std::span<const int32_t> logprob_rows() const { return logprob_rows_; }  // rows of the slice
  std::span<const int32_t> sequences() const { return sequences_; }        // indices of the runs
  int max_top_logprobs() const { return max_top_logprobs_; }

  ProcessLogitsArgs ProcessArgs(const TensorView& logits, const SurvivorsView& survivors) const;
  // Outputs land in token_ids and num_accepted below. `draft_logits`: what the runs' draft_rows
  // name. `last_tokens`: [R] on the device, or null.
  SampleVerifyArgs SampleArgs(const TensorView& logits, const SurvivorsView& survivors,
                              const TensorView& draft_logits, int32_t* last_tokens = nullptr);

  std::span<const int32_t> token_ids() const {  // [num_rows()]
    return std::span(token_ids_).first(static_cast<size_t>(num_rows_));
  }
  int num_emitted(int i) const { return num_accepted_[static_cast<size_t>(i)] + 1; }
  int first_row(int i) const { return row_offsets_[static_cast<size_t>(i)]; }

 private:
  bool Has(const SequenceRun& run, int32_t token) const;
  void AddAllowed(const SequenceRun& run);
  void AddAdjusts(const SequenceRun& run, int row);
  TokenAdjust& AdjustOf(int32_t token, const TokenCounts* counts);

  VerifyMode mode_;
  int num_rows_ = 0;
  int num_logprob_rows_ = 0;
  bool has_padded_lists_ = false;
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
  // The lists of a padded slice. They never move, unlike those above.
  std::vector<TokenAdjust> padded_adjusts_;
  std::vector<int32_t> padded_allowed_;
  size_t num_padded_adjusts_ = 0;
  size_t num_padded_allowed_ = 0;
  TokenCounts uncached_counts_;
  // Where a token that the counts do not hold stands in adjusts_: valid where it lies in the
  // current row's part and names the token back, so that it needs no clearing.
  std::vector<int32_t> adjust_index_;  // [V]
};

}  // namespace runahead
