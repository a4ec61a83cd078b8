// Views and arguments of the attention ops. Value types; all memory is borrowed.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor_view.h"

namespace runahead {

// Tokens per key tile: keys are reduced in tiles of this many tokens counted from position 0 and
// merged in ascending order, whatever the batch, chunk or thread count (batch invariance,
// docs/numerics.md).
inline constexpr int kKeyTileTokens = 64;

// Bytes of the scale of one token's K or V of one KV head in an INT8 cache: an f32.
inline constexpr int64_t kKvScaleBytes = 4;

// Elements that hold one token's K (or V) of one KV head. In an INT8 cache they are bytes: D
// values, zeros to a multiple of 16, and the scale, so that whatever copies a block carries its
// scales.
constexpr int64_t KvRowElements(DType dtype, int64_t head_dim) {
  return dtype == DType::kI8 ? (head_dim + 15) / 16 * 16 + kKvScaleBytes : head_dim;
}

// One layer's cache. Token t of a sequence lives in block table[t / B], offset t % B. How a backend
// orders the [B, E] elements of one block and head is its own affair: only its ops read them (the
// cpu backend: kernels/cpu/isa/kernel_table.h).
//
// INT8: x = value * scale, where scale = max |x| / 127 over the D elements of one token and head,
// and values are rounded to nearest even. Magnitudes up to 2^-100 alone make zeros with scale 0;
// with a NaN or an infinity among them the scale is NaN and the values 0.
struct KvLayerView {
  TensorView k;  // [num_blocks, Nkv, B, E] f32, bf16, f16 or i8; E = KvRowElements(dtype, D)
  TensorView v;  // [num_blocks, Nkv, B, E] likewise
  int block_size = 0;
};

// Who is in a step. Rows of sequence s are [row_offsets[s], row_offsets[s + 1]); its last row is
// token context_lens[s] - 1 of the sequence, so row i of q rows sits at position context_lens[s] -
// q + i.
struct BatchShape {
  std::span<const int32_t> row_offsets;  // [S + 1]
  std::span<const int32_t>
      context_lens;  // [S] tokens in the cache once this step's rows are stored
  std::span<const int32_t> block_tables;  // [S, table_stride] block ids
  int table_stride = 0;
  // Rows of the step behind those of the sequences: padding, which attends to nothing. What
  // attention puts out for them is not defined. Only where DeviceInfo::has_graphs.
  int num_padding_rows = 0;
  // Whether the rows are those of a bucket of graphs, padding or not: then plans of like steps have
  // equal graph keys.
  bool is_in_bucket = false;

  int num_sequences() const { return static_cast<int>(context_lens.size()); }
};

class AttentionPlan;

// Upper bounds a plan must hold, fixed at set-up.
struct AttentionLimits {
  int max_sequences = 0;
  int max_rows = 0;
  int max_context = 0;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  // A plan of the same backend and heads, for as long a context, which the new one shares scratch
  // with: steps under them follow each other. It outlives the new one.
  const AttentionPlan* beside = nullptr;
};

// Work split of one step's attention, made on the host once per step and used by every layer. The
// backend that made it fills and reads it; it keeps its own copies, so BatchShape may go after
// PlanAttention.
class AttentionPlan {
 public:
  virtual ~AttentionPlan() = default;
  // A graph captured under a plan replays under every later one of the same object with an equal
  // key.
  virtual uint64_t graph_key() const { return 0; }
};

// Rotates q and k (after an optional RMS norm per head) and stores k and v into the cache. Pairs
// are (i, i + D/2), as Hugging Face's rotate_half has them.
struct RopeStoreKvArgs {
  TensorView qkv;  // [T, (Nq + 2 Nkv) D] activation dtype; q is rotated in place
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  const float* q_norm = nullptr;  // [D] f32 gains, or null for no norm
  const float* k_norm = nullptr;  // [D]
  float norm_eps = 0;
  TensorView rope;                     // [max_position, D] f32: D/2 cosines, then D/2 sines
  std::span<const int32_t> positions;  // [T]
  // [T] block * B + offset; -1 where DeviceInfo::has_graphs: a row of padding, which stores nothing
  std::span<const int64_t> slots;
  KvLayerView cache;
};

// softmax(scale q K^T) V over each row's own past, read from the cache only as stored. Accumulates
// in f32.
struct PagedAttentionArgs {
  // [T, Nq, D]: the rotated part of qkv (row_stride spans the fused row). Where out is quantized
  // rows, q is scratch afterwards: a backend may keep the result there before it quantizes it.
  TensorView q;
  KvLayerView cache;
  const AttentionPlan* plan = nullptr;
  float scale = 0;
  int sliding_window = 0;  // row at position p sees keys in (p - window, p]; 0: all
  TensorView out;          // [T, Nq D] in the o-projection's input format, quantized rows included
};

// Copies whole blocks of one cache, all layers given, in order; sources and destinations are
// disjoint.
struct CopyBlocksArgs {
  std::span<const KvLayerView> layers;
  std::span<const int32_t> from;
  std::span<const int32_t> to;
};

}  // namespace runahead
