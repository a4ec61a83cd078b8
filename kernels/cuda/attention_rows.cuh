// What the attention kernels share: their parameters, which keys a packed row sees, the fold of
// chunks, and the store of a row.
#pragma once

#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/math.h"

namespace runahead::RA_CUDA {

struct AttentionParams {
  // [T, Nq, D]; where out is null results go back here
  void* q = nullptr;
  int64_t q_stride = 0;
  DType q_dtype = DType::kF32;
  const void* k = nullptr;  // [num_blocks, Nkv, B, E]
  const void* v = nullptr;
  int block_size = 0;
  int row_elements = 0;  // E
  void* out = nullptr;   // [T, Nq D]
  int64_t out_stride = 0;
  DType out_dtype = DType::kF32;

  int num_rows = 0;  // T
  int num_kv_heads = 0;
  int group = 0;  // query heads a KV head
  int head_dim = 0;
  int window = 0;
  float scale_log2e = 0;  // scores are exponents of 2

  const int32_t* row_offsets = nullptr;
  const int32_t* context_lens = nullptr;
  const int32_t* row_sequences = nullptr;  // -1: padding
  const int32_t* block_tables = nullptr;
  const int32_t* table_stride = nullptr;  // one
  const AttentionItem* items = nullptr;
  const MergeItem* merges = nullptr;
  float* partials = nullptr;
};

// Positions [begin, end) that a row sees.
struct Visible {
  int begin;
  int end;

  RA_DEVICE bool Has(int position) const { return position >= begin && position < end; }
};
RA_DEVICE Visible VisibleAt(int position, int window) {
  const int end = position + 1;
  return {window > 0 && end > window ? end - window : 0, end};
}

// Where token `position` of a sequence lies in the cache, in rows of E elements.
RA_DEVICE int64_t CacheRow(const AttentionParams& params, const int32_t* table, int kv_head,
                           int position) {
  const int64_t block = table[position / params.block_size];
  return (block * params.num_kv_heads + kv_head) * params.block_size + position % params.block_size;
}

// A running softmax: the largest score and the sum of weights relative to it.
struct SoftmaxState {
  float highest = -INFINITY;
  float sum = 0;
};

// 2^(x - y), exactly 1 where they are equal, infinities included.
RA_DEVICE float Ratio(float x, float y) { return x == y ? 1.0f : Exp2Approx(x - y); }

// Appends a later chunk: outputs become total * a + chunk * b.
struct FoldFactors {
  float a;
  float b;
};
RA_DEVICE FoldFactors Fold(SoftmaxState& total, const SoftmaxState& chunk) {
  const float highest = chunk.highest > total.highest ? chunk.highest : total.highest;
  const FoldFactors factors = {Ratio(total.highest, highest), Ratio(chunk.highest, highest)};
  total = {highest, Fma(total.sum, factors.a, chunk.sum * factors.b)};
  return factors;
}
RA_DEVICE float FoldOutput(float total, const FoldFactors& factors, float chunk) {
  return Fma(total, factors.a, chunk * factors.b);
}

// Element i of query head `head` of row t.
RA_DEVICE float QueryAt(const AttentionParams& params, int64_t t, int head, int i) {
  const int64_t at = t * params.q_stride + int64_t{head} * params.head_dim + i;
  switch (params.q_dtype) {
    case DType::kF32:
      return static_cast<const float*>(params.q)[at];
    case DType::kF16:
      return ToF32(static_cast<const Float16*>(params.q)[at]);
    default:
      return ToF32(static_cast<const BFloat16*>(params.q)[at]);
  }
}

// The one rounding of an output.
RA_DEVICE void StoreOutput(const AttentionParams& params, int64_t t, int head, int i, float value) {
  const bool to_q = params.out == nullptr;
  void* out = to_q ? params.q : params.out;
  const int64_t at =
      t * (to_q ? params.q_stride : params.out_stride) + int64_t{head} * params.head_dim + i;
  switch (to_q ? params.q_dtype : params.out_dtype) {
    case DType::kF32:
      static_cast<float*>(out)[at] = value;
      return;
    case DType::kF16:
      static_cast<Float16*>(out)[at] = RoundTo<Float16>(value);
      return;
    default:
      static_cast<BFloat16*>(out)[at] = RoundTo<BFloat16>(value);
  }
}

}  // namespace runahead::RA_CUDA
