// The kernels behind PagedAttention. Engine thread only.
#pragma once

#include "kernels/cuda/attention_rows.cuh"

namespace runahead::RA_CUDA {

// Tensor cores: head sizes that are multiples of 16 up to 128, BF16, F16 and INT8 caches. The
// plan's narrow items (decode_attention.cu) and its wide ones (prefill_attention.cu).
bool HasTensorAttention(DType cache, int head_dim);
void AllowDecodeAttention();  // once, before the first
void AllowPrefillAttention();
void DecodeAttention(AttentionParams params, DType cache, const CudaAttentionPlan& plan,
                     Stream stream);
void PrefillAttention(AttentionParams params, DType cache, const CudaAttentionPlan& plan,
                      Stream stream);

// plain_attention.cu: every cache type and head sizes up to 256.
void PlainAttention(const AttentionParams& params, DType cache, Stream stream);

}  // namespace runahead::RA_CUDA
