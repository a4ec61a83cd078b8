// Arguments of the ops from logits to token ids. Value types; all memory is borrowed.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor_view.h"
#include "kernels/philox.h"

namespace runahead {

// Sampling parameters of one logit row. The defaults change nothing.
struct LogitParams {
  float temperature = 1;         // 0: greedy, filters and noise are skipped
  int32_t top_k = 0;             // 0: all; ties at the border are kept by lower id
  float top_p = 1;               // smallest set of most likely tokens whose mass reaches top_p
  float min_p = 0;               // tokens with p < min_p * max p go
  float repetition_penalty = 1;  // over prompt and output, as CTRL: l > 0 ? l / r : l * r
  float presence_penalty = 0;    // over the output
  float frequency_penalty = 0;   // times the output count
};

// What is known of one token at one row; a row's list names a token once.
struct TokenAdjust {
  int32_t token = 0;
  int32_t output_count = 0;  // times generated before this row, drafts before it included
  bool in_prompt = false;
  float bias = 0;  // added; -infinity bans
};

// The tokens that survive a row's filters, where a filter cut the vocabulary.
struct SurvivorsView {
  int32_t* ids = nullptr;     // [R, capacity], ascending
  int32_t* counts = nullptr;  // [R]: how many, or -1: not listed, every finite logit survives
  int capacity = 0;
};

// In this order: allowed ids, bias, penalties, temperature, top_k, top_p, min_p; filtered tokens
// become -infinity. In place.
struct ProcessLogitsArgs {
  TensorView logits;                             // [R, V] f32
  std::span<const LogitParams> params;           // [R]
  std::span<const TokenAdjust> adjusts = {};     // CSR over rows
  std::span<const int32_t> adjust_offsets = {};  // [R + 1]
  std::span<const int32_t> allowed = {};  // CSR over rows, ascending ids; an empty range allows all
  std::span<const int32_t> allowed_offsets = {};  // [R + 1]
  SurvivorsView survivors;                        // out
};

enum class VerifyMode : uint8_t {
  kCoupled,    // token = argmax(log p + shared Gumbel noise); a draft is accepted iff it equals it
  kRejection,  // Leviathan et al. 2023: accept with min(1, p / q), else draw from the residual
};

// The name of one row's noise.
struct SampleRow {
  NoiseKey key = {};
  uint32_t position = 0;  // index in the sequence of the token to be drawn
  bool greedy = false;    // argmax of the logits, lowest id among equals
  // What coupled mode draws with: kTarget, or DraftNoise(i) for a draft to be judged by rejection.
  NoisePurpose purpose = NoisePurpose::kTarget;
};

// Sampling is verification with zero drafts. Sequence s owns rows [row_offsets[s], row_offsets[s +
// 1]), one more than it has drafts; row i judges draft i, and the row after the last accepted draft
// gives the extra token. Padding, so that few graphs serve every step: rows behind those of the
// sequences are not judged, and sequences without rows accept nothing.
struct SampleVerifyArgs {
  TensorView logits;                     // [R, V] f32, processed
  SurvivorsView survivors;               // of ProcessLogits
  std::span<const SampleRow> rows;       // [R]
  std::span<const int32_t> row_offsets;  // [S + 1]
  std::span<const int32_t> drafts;  // [R] draft judged by each row; -1 on a sequence's last row
  // Rejection mode: what the drafts were drawn from, as ProcessLogits left it. Greedy rows need
  // none.
  TensorView draft_logits = {};              // [D, V] f32; rank 0: every draft is one-hot
  std::span<const int32_t> draft_rows = {};  // [R] row of draft_logits, or -1: one-hot
  VerifyMode mode = VerifyMode::kCoupled;
  std::span<int32_t> token_ids;     // out [R]: accepted drafts, then the extra token; rest -1
  std::span<int32_t> num_accepted;  // out [S]
  // out [S] on the device, or null: each sequence's extra token; 0 of one without rows.
  int32_t* last_tokens = nullptr;
};

// Log-softmax, f32 accumulation in f64: of raw logits for what a client asked, of processed ones
// for a draft's confidence.
struct TopLogprobsArgs {
  TensorView logits;                     // [R, V] f32
  std::span<const int32_t> chosen = {};  // [R] token whose logprob and rank are wanted; -1: none
  const int32_t* drawn = nullptr;        // [R] on the device, instead of `chosen`: last_tokens
  int top_n = 0;                         // 0..20
  std::span<float> chosen_logprobs;      // out [R]
  std::span<int32_t> chosen_ranks;       // out [R] 1-based: 1 + tokens with a larger logit
  std::span<int32_t> top_ids = {};       // out [R, top_n] most likely first, lowest id among equals
  std::span<float> top_logprobs = {};    // out [R, top_n]
};

}  // namespace runahead
