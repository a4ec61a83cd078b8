// The kernels behind PagedAttention. Engine thread only.
#pragma once

#include "kernels/cuda/attention_rows.cuh"

namespace runahead::RA_CUDA {

// paged_attention.cu: head sizes that are multiples of 16 up to 128, BF16, F16 and INT8
// caches.
bool HasTensorAttention(DType cache, int head_dim);
void AllowTensorAttention();  // once, before the first
void TensorAttention(const AttentionParams& params, DType cache, const CudaAttentionPlan& plan,
                     Stream stream);

// plain_attention.cu: every cache type and head sizes up to 256.
void PlainAttention(const AttentionParams& params, DType cache, Stream stream);

}  // namespace runahead::RA_CUDA
