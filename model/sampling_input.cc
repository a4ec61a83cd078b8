#include "model/sampling_input.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/check.h"

namespace runahead {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();
constexpr float kBanBias = -100;  // OpenAI's logit_bias: this and below is a ban

LogitParams ParamsOf(const SamplingParams& sampling) {
  return {.temperature = sampling.temperature,
          .top_k = sampling.top_k,
          .top_p = sampling.top_p,
          .min_p = sampling.min_p,
          .repetition_penalty = sampling.repetition_penalty,
          .presence_penalty = sampling.presence_penalty,
          .frequency_penalty = sampling.frequency_penalty};
}

constexpr std::array<size_t, 4> kListBuckets = {0, 64, 512, SamplingInput::kMaxListed};

}  // namespace

int NumLogprobs(const SequenceRun& run) {
  return run.proposal.has_value() ? -1 : run.sampling->num_logprobs;
}

SamplingInput::SamplingInput(int vocab_size, VerifyMode mode, int max_rows)
    : mode_(mode),
      padded_adjusts_(kMaxListed),
      padded_allowed_(kMaxListed),
      adjust_index_(static_cast<size_t>(vocab_size)) {
  const auto rows = static_cast<size_t>(max_rows);
  for (auto* vector :
       {&step_rows_, &logprob_rows_, &drafts_, &draft_rows_, &token_ids_, &num_accepted_}) {
    vector->reserve(rows);
  }
  for (auto* vector : {&adjust_offsets_, &allowed_offsets_, &row_offsets_}) {
    vector->reserve(rows + 1);
  }
  params_.reserve(rows);
  rows_.reserve(rows);
  Clear();
}

void SamplingInput::Clear() {
  num_rows_ = 0;
  num_logprob_rows_ = 0;
  has_padded_lists_ = false;
  step_rows_.clear();
  logprob_rows_.clear();
  sequences_.clear();
  max_top_logprobs_ = 0;
  params_.clear();
  adjusts_.clear();
  adjust_offsets_.assign(1, 0);
  allowed_.clear();
  allowed_offsets_.assign(1, 0);
  rows_.clear();
  row_offsets_.assign(1, 0);
  drafts_.clear();
  draft_rows_.clear();
}

void SamplingInput::Add(const SequenceRun& run, int sequence, int row_end) {
  RA_CHECK(run.sampling != nullptr);
  const SamplingParams& sampling = *run.sampling;
  const int num_rows_of_run = run.num_drafts + 1;
  const int num_logprobs = NumLogprobs(run);
  const auto drafts = run.tokens.last(static_cast<size_t>(run.num_drafts));
  RA_CHECK(run.draft_rows.empty() || run.draft_rows.size() == drafts.size());
  RA_CHECK(!run.proposal.has_value() || run.num_drafts == 0, "a proposal judges nothing");
  if (sampling.HasPenalties() && run.counts != nullptr) {
    run.counts->Update(run.prompt, run.output);
  } else if (sampling.HasPenalties()) {
    uncached_counts_.Clear();
    uncached_counts_.Update(run.prompt, run.output);
  }
  const int context = run.num_computed + static_cast<int>(run.tokens.size());
  for (int row = 0; row < num_rows_of_run; ++row) {
    if (num_logprobs >= 0) logprob_rows_.push_back(num_rows_);
    step_rows_.push_back(row_end - num_rows_of_run + row);
    ++num_rows_;
    params_.push_back(ParamsOf(sampling));
    AddAdjusts(run, row);
    AddAllowed(run);
    allowed_offsets_.push_back(static_cast<int32_t>(allowed_.size()));
    rows_.push_back({.key = {.seed = sampling.seed, .choice = run.choice},
                     .position = static_cast<uint32_t>(context - run.num_drafts + row),
                     .greedy = sampling.IsGreedy(),
                     .purpose = run.proposal ? run.proposal->noise : NoisePurpose::kTarget});
    const bool judges = row < run.num_drafts;
    drafts_.push_back(judges ? drafts[static_cast<size_t>(row)] : -1);
    draft_rows_.push_back(
        judges && !run.draft_rows.empty() ? run.draft_rows[static_cast<size_t>(row)] : -1);
  }
  num_logprob_rows_ = static_cast<int>(logprob_rows_.size());
  max_top_logprobs_ = std::max(max_top_logprobs_, num_logprobs);
  sequences_.push_back(sequence);
  row_offsets_.push_back(num_rows());
}

SliceBuckets SamplingInput::PadTo(int num_rows, int num_logprob_rows) {
  RA_CHECK(num_rows >= num_rows_ && num_logprob_rows >= num_logprob_rows_);
  const auto rows = static_cast<size_t>(num_rows);
  step_rows_.resize(rows, 0);
  logprob_rows_.resize(static_cast<size_t>(num_logprob_rows), 0);
  params_.resize(rows);
  rows_.resize(rows);
  drafts_.resize(rows, -1);
  draft_rows_.resize(rows, -1);
  for (auto* offsets : {&adjust_offsets_, &allowed_offsets_, &row_offsets_}) {
    offsets->resize(rows + 1, offsets->back());
  }
  SliceBuckets buckets = {.num_rows = num_rows, .num_logprob_rows = num_logprob_rows};
  has_padded_lists_ = adjusts_.size() <= kMaxListed && allowed_.size() <= kMaxListed;
  buckets.has_lists = has_padded_lists_;
  if (!has_padded_lists_) return buckets;
  num_padded_adjusts_ = *std::ranges::lower_bound(kListBuckets, adjusts_.size());
  num_padded_allowed_ = *std::ranges::lower_bound(kListBuckets, allowed_.size());
  std::ranges::copy(adjusts_, padded_adjusts_.begin());
  std::ranges::copy(allowed_, padded_allowed_.begin());
  buckets.num_adjusts = static_cast<int>(num_padded_adjusts_);
  buckets.num_allowed = static_cast<int>(num_padded_allowed_);
  return buckets;
}

// A request's ids are the target's; a draft model may lack the last of them.
bool SamplingInput::Has(const SequenceRun& run, int32_t token) const {
  return !run.proposal.has_value() || static_cast<size_t>(token) < adjust_index_.size();
}

void SamplingInput::AddAllowed(const SequenceRun& run) {
  for (const int32_t token : run.sampling->allowed_token_ids) {
    if (Has(run, token)) allowed_.push_back(token);
  }
}

// The entry of `token` in the current row's list, which begins with all of `counts` (may be null).
TokenAdjust& SamplingInput::AdjustOf(int32_t token, const TokenCounts* counts) {
  RA_CHECK(token >= 0 && static_cast<size_t>(token) < adjust_index_.size());
  const auto begin = static_cast<size_t>(adjust_offsets_.back());
  if (const int64_t at = counts != nullptr ? counts->Find(token) : -1; at >= 0) {
    return adjusts_[begin + static_cast<size_t>(at)];
  }
  int32_t& index = adjust_index_[static_cast<size_t>(token)];
  const auto at = static_cast<size_t>(index);
  if (at >= begin && at < adjusts_.size() && adjusts_[at].token == token) return adjusts_[at];
  index = static_cast<int32_t>(adjusts_.size());
  adjusts_.push_back({.token = token});
  return adjusts_.back();
}

// The list of row `row` of the run: counts up to the drafts before it, biases, bans. The counts are
// copied as they stand (they may be thousands); only what is laid over them is looked up.
void SamplingInput::AddAdjusts(const SequenceRun& run, int row) {
  const SamplingParams& sampling = *run.sampling;
  const TokenCounts* counts = nullptr;
  if (sampling.HasPenalties()) {
    counts = run.counts != nullptr ? run.counts : &uncached_counts_;
    adjusts_.insert(adjusts_.end(), counts->entries().begin(), counts->entries().end());
    const auto drafts =
        run.proposal
            ? run.proposal->pending
            : run.tokens.last(static_cast<size_t>(run.num_drafts)).first(static_cast<size_t>(row));
    for (const int32_t draft : drafts) ++AdjustOf(draft, counts).output_count;
  }
  for (const auto& [token, bias] : sampling.logit_bias) {
    if (Has(run, token)) AdjustOf(token, counts).bias = bias <= kBanBias ? kBanned : bias;
  }
  const auto ban = [&](int32_t token) {
    if (Has(run, token)) AdjustOf(token, counts).bias = kBanned;
  };
  std::ranges::for_each(sampling.banned_token_ids, ban);
  if (row < run.num_suppressed_rows) std::ranges::for_each(run.suppressed, ban);
  adjust_offsets_.push_back(static_cast<int32_t>(adjusts_.size()));
}

ProcessLogitsArgs SamplingInput::ProcessArgs(const TensorView& logits,
                                             const SurvivorsView& survivors) const {
  std::span<const TokenAdjust> adjusts = adjusts_;
  std::span<const int32_t> allowed = allowed_;
  if (has_padded_lists_) {
    adjusts = std::span(padded_adjusts_).first(num_padded_adjusts_);
    allowed = std::span(padded_allowed_).first(num_padded_allowed_);
  }
  return {.logits = logits,
          .params = params_,
          .adjusts = adjusts,
          .adjust_offsets = adjust_offsets_,
          .allowed = allowed,
          .allowed_offsets = allowed_offsets_,
          .survivors = survivors};
}

SampleVerifyArgs SamplingInput::SampleArgs(const TensorView& logits, const SurvivorsView& survivors,
                                           const TensorView& draft_logits, int32_t* last_tokens) {
  token_ids_.resize(step_rows_.size());
  num_accepted_.resize(row_offsets_.size() - 1);
  return {.logits = logits,
          .survivors = survivors,
          .rows = rows_,
          .row_offsets = row_offsets_,
          .drafts = drafts_,
          .draft_logits = draft_logits,
          .draft_rows = draft_rows_,
          .mode = mode_,
          .token_ids = token_ids_,
          .num_accepted = num_accepted_,
          .last_tokens = last_tokens};
}

}  // namespace runahead
