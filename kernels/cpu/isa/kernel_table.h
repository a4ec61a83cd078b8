// The inner loops of the cpu backend, compiled once per instruction set and reached through one
// table. Thread-safe.
//
// Everything that crosses into kernels/cpu/isa is plain data: a source compiled for AVX-512 must
// not emit a copy of an inline function that other code shares, or the linker could hand that copy
// to a machine without AVX-512. Each function works on one slice of an op, allocates nothing, and
// gives each row the same bits in any slicing.
#pragma once

#include <cstdint>

namespace runahead::cpu {

// Output rows of a linear layer that a packed panel interleaves (packed_linear.h has the diagram).
inline constexpr int kPanelRows = 32;
// Query vectors (rows x heads) that share one pass over a KV head's tiles.
inline constexpr int kMaxQueryVectors = 32;
// Keys per tile; equals kKeyTileTokens.
inline constexpr int kTileKeys = 64;

// Panels [panel_begin, panel_end) x rows [row_begin, row_end) of y = x W^T + b.
struct LinearSlice {
  const void* weights = nullptr;  // packed panels, bf16 pairs or f32
  const float* bias = nullptr;    // [panels * 32], or null
  int64_t n = 0;
  int64_t k = 0;
  const void* x = nullptr;  // [T, K] bf16 or f32, as the weights
  int64_t x_stride = 0;     // elements
  void* y = nullptr;        // [T, N]
  int64_t y_stride = 0;     // elements
  bool y_is_bf16 = false;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t max_ahead = 0;  // bytes of weights that one tile's pass may ask for ahead: what the
                          // first-level cache holds beside x
};

// How the scales of an INT4 weight are stored: as its source had them.
enum class ScaleType : uint8_t { kBF16, kF16, kF32 };

// The same for INT4 or INT8 weights: x is quantized rows (kernels/quantized_rows.h), x_stride in
// bytes.
struct QuantizedLinearSlice : LinearSlice {
  int64_t panel_bytes = 0;
  int64_t panel_header_bytes = 0;  // INT4: of a group's scales and zero points
  int group = 0;                   // INT4: of weights and x
  ScaleType scale_type = ScaleType::kBF16;
  bool has_zero_points = false;
  int64_t x_scales_at = 0;  // bytes from a row's start
  int64_t x_sums_at = 0;
};

// One KV head of one sequence, query vectors [vector_begin, vector_end) (vector f is row f / group,
// head f % group), key tiles [tile_begin, tile_end).
struct AttentionSlice {
  const void* q =
      nullptr;  // first row of the sequence, first head of the group; rows q_stride elements apart
  int64_t q_stride = 0;
  bool q_is_bf16 = false;
  const void* k = nullptr;  // this KV head in block 0; blocks block_stride bytes apart
  const void* v = nullptr;
  int64_t block_stride = 0;
  const int32_t* table = nullptr;  // block ids of the sequence
  bool kv_is_bf16 = false;
  int block_size = 0;
  int head_dim = 0;
  int group = 0;
  int64_t first_position = 0;  // of row 0
  int vector_begin = 0;
  int vector_end = 0;
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
  int window = 0;  // 0: all
  float scale = 0;
  void* out = nullptr;  // likewise as q
  int64_t out_stride = 0;
  bool out_is_bf16 = false;
  float* scratch = nullptr;  // AttentionScratchFloats(head_dim), this thread's
  float* partials =
      nullptr;  // null: finish; else keep each tile's partial here, [tiles][vectors][2 + D]
};

// `static` keeps each build's copy its own.
static constexpr int64_t AttentionScratchFloats(int64_t head_dim) {
  // Per query vector: q, tile output and output of D each (to whole vectors), scores and weights of
  // a tile, nine single values. And a tile's scales.
  const int64_t width = (head_dim + 15) / 16 * 16;
  return kMaxQueryVectors * (3 * width + 2 * kTileKeys + 9) + 2 * kTileKeys;
}

// How the cpu backend orders one block of one KV head (the order within a block is the backend's
// own). In units of 4 bytes, a unit being one f32 or a pair of bf16:
//
//   k: [B / G][U][G]  G tokens side by side; U = D / 2 units (d, d + 1) in bf16, D in f32    ->
//   lanes are keys v: [B / P][D]     in bf16 a unit is the tokens (t, t + 1) of one d, P = 2; in
//   f32 P = 1  -> lanes are d
//
// INT8 (W = D to a multiple of 16; the scales of a block's tokens stand before its values):
//
//   k: | scales: B f32 | [B / G][W / 4][G][4] u8 |  value + 128 of (d .. d + 3)  -> lanes are keys
//   v: | scales: B f32 | [B / 4][W][4] i8        |  tokens (t .. t + 3) of one d -> lanes are d
static constexpr int KeyGroup(int block_size) { return block_size % 16 == 0 ? 16 : 8; }

// One row's rotation and store of one token.
struct RopeSlice {
  void* qkv = nullptr;  // one row
  bool qkv_is_bf16 = false;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float norm_eps = 0;
  const float* rope = nullptr;  // this position's D/2 cosines, then D/2 sines
  void* k = nullptr;            // the slot's block, KV head 0
  void* v = nullptr;
  bool kv_is_bf16 = false;
  bool kv_is_int8 = false;
  int block_size = 0;
  int in_block = 0;          // token within the block
  float* scratch = nullptr;  // [D]
};

// A row as memory: f32, bf16 or quantized (kernels/quantized_rows.h; kernels/cpu/row_views.h makes
// them).
struct RowIn {
  const void* data = nullptr;
  bool is_bf16 = false;
  const float* scales = nullptr;  // not null: data is i8, a scale for each `group` values
  int64_t group = 0;
};
struct RowOut {
  void* data = nullptr;
  bool is_bf16 = false;
  // Not null: data is i8; what lies between the values and the scales, and between the sums and
  // `end`, is zeroed.
  float* scales = nullptr;
  int32_t* sums = nullptr;
  void* end = nullptr;
  int64_t group = 0;  // values a scale; as wide as the row for one scale
};

// The noise of one row's draw.
struct NoiseName {
  uint64_t key = 0;  // PhiloxKey
  uint32_t position = 0;
  uint32_t purpose = 0;
};

// A row of logits as a distribution: p(i) = exp(logits[i] - highest) / sum.
struct SoftmaxRow {
  const float* logits = nullptr;  // [V]
  float highest = 0;
  double sum = 0;
};

// How many tokens of a row lie how far below its highest logit, and their mass in e^(logit -
// highest).
static constexpr int kBuckets = 1024;
static constexpr float kBucketsPerUnit = 64;
struct LogitHistogram {
  int64_t counts[kBuckets + 1];  // [b]: distance in [b, b + 1) / 64; the last: all beyond 16
  double mass[kBuckets + 1];
};

struct KernelTable {
  void (*linear_bf16)(const LinearSlice&);
  void (*linear_f32)(const LinearSlice&);
  void (*linear_int4)(const QuantizedLinearSlice&);
  void (*linear_int8)(const QuantizedLinearSlice&);
  void (*attention)(const AttentionSlice&);        // an f32 or bf16 cache
  void (*attention_int8)(const AttentionSlice&);   // an INT8 cache
  void (*merge_attention)(const AttentionSlice&);  // partials of all tiles, ascending, into out
  void (*rope_store)(const RopeSlice&);
  // f32 and bf16 into anything, quantized rows included (their values are chosen here, once for
  // all); quantized rows into f32 and bf16.
  void (*convert)(RowIn from, RowOut to, int64_t width);
  void (*rms_norm)(RowIn x, const float* gain, float eps, RowOut y, int64_t width);
  void (*add)(RowOut residual, RowIn x, int64_t width);  // residual += x
  void (*silu_mul)(RowIn gate, RowIn up, RowOut out, int64_t width);
  void (*divide)(float* logits, int64_t vocab, float by);
  float (*max)(const float* logits, int64_t vocab);        // NaN ignored; -inf where nothing
  int32_t (*arg_max)(const float* logits, int64_t vocab);  // lowest id among equals
  double (*sum_exp)(const float* logits, int64_t vocab, float highest);  // of exp(logit - highest)
  int64_t (*count_greater)(const float* logits, int64_t vocab, float bound);
  // Ids of logits > bound (or >= bound), ascending; stops at `capacity`.
  int64_t (*collect)(const float* logits, int64_t vocab, float bound, bool or_equal, int32_t* ids,
                     int64_t capacity);
  void (*histogram)(const float* logits, int64_t vocab, float highest, LogitHistogram& out);
  // out[i] = log(max(0, p(i) - q(i))): the residual of rejection sampling.
  void (*residual)(const SoftmaxRow& p, const SoftmaxRow& q, int64_t vocab, float* out);
  // The machine's ceilings (roofline.h): reads a stream, or keeps every multiplier busy; both
  // return something the compiler cannot leave out.
  float (*read_stream)(const void* data, int64_t bytes);
  float (*spin_bf16)(int64_t iterations, double& operations);
  float (*spin_f32)(int64_t iterations, double& operations);
  float (*spin_int8)(int64_t iterations, double& operations);
  // argmax of logit + Gumbel noise over the vocabulary, lowest id among equals.
  int32_t (*gumbel_arg_max)(const float* logits, int64_t vocab, const NoiseName& noise);
  // The same over `count` ids, ascending; logits indexed by id.
  int32_t (*gumbel_arg_max_of)(const float* logits, const int32_t* ids, int64_t count,
                               const NoiseName& noise);
};

// The table of each instruction set; defined in isa/table.cc of each build of the folder.
#define RA_DECLARE_ISA(isa)     \
  namespace isa {               \
  const KernelTable& Kernels(); \
  }
RA_DECLARE_ISA(isa_sse4)
RA_DECLARE_ISA(isa_avx2)
RA_DECLARE_ISA(isa_avx2_vnni)
RA_DECLARE_ISA(isa_avx512)
RA_DECLARE_ISA(isa_avx512_vnni)
RA_DECLARE_ISA(isa_avx512_bf16)
RA_DECLARE_ISA(isa_neon)
RA_DECLARE_ISA(isa_neon_dot)
RA_DECLARE_ISA(isa_neon_i8mm)
#undef RA_DECLARE_ISA

}  // namespace runahead::cpu
