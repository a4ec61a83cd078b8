// What attention over every kind of cache shares: where a tile's keys and values lie, masks, and
// the fold of tiles in ascending order. Included by isa/attention*.cc alone.
#pragma once

#include "kernels/cpu/isa/dot-inl.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2
constexpr int kMaxVectors = 4;  // query vectors in registers
#else
constexpr int kMaxVectors = 8;
#endif

// Vectors side by side in a register tile: enough chains to hide a multiply-add's latency.
constexpr int TileVecs(int num_vectors) { return kMaxVectors == 8 && num_vectors < 8 ? 4 : 2; }

// This thread's scratch, cut up. Rows are query vectors of the slice.
struct Scratch {
  int64_t width;        // D, up to a multiple of 16: elements between rows of D
  float* q;             // [32, U] units
  float* scores;        // [32, 64]
  float* weights;       // [32, 64 / P] units
  float* tile_out;      // [32, D]
  float* out;           // [32, D]
  float* score_scale;   // [32] what scores are multiplied by, log2 e included
  float* weight_scale;  // INT8: what a unit of weight stands for
  int32_t* bias;        // INT8: what biased keys add to a vector's sums, negated
  float* tile_max;
  float* tile_sum;
  float* max;
  float* sum;
  float* keep;          // factor of what was
  float* take;          // factor of the tile
  float* key_scales;    // INT8: [64] of the tile
  float* value_scales;  // INT8: likewise
};

HWY_INLINE Scratch Cut(const AttentionSlice& s) {
  constexpr int64_t n = kMaxQueryVectors;
  Scratch c;
  c.width = (int64_t{s.head_dim} + 15) / 16 * 16;
  c.q = s.scratch;
  c.scores = c.q + n * c.width;
  c.weights = c.scores + n * kTileKeys;
  c.tile_out = c.weights + n * kTileKeys;
  c.out = c.tile_out + n * c.width;
  c.score_scale = c.out + n * c.width;
  c.weight_scale = c.score_scale + n;
  c.bias = reinterpret_cast<int32_t*>(c.weight_scale + n);
  c.tile_max = reinterpret_cast<float*>(c.bias + n);
  c.tile_sum = c.tile_max + n;
  c.max = c.tile_sum + n;
  c.sum = c.max + n;
  c.keep = c.sum + n;
  c.take = c.keep + n;
  c.key_scales = c.take + n;
  c.value_scales = c.key_scales + kTileKeys;
  return c;
}

// Scores are kept times log2 e, so that weights are powers of 2.
constexpr float kLog2E = 1.44269504088896341f;
constexpr float kNothing = -__builtin_inff();

// A run of tokens within one block: where their values and their keys begin.
struct Segment {
  const char* values = nullptr;
  const char* keys = nullptr;
  int num_units = 0;  // of values
  // INT8: of its tokens
  const char* key_scales = nullptr;
  const char* value_scales = nullptr;
  int num_tokens = 0;
};

// One tile of one slice, and where its keys and values lie.
struct Tile {
  int64_t first = 0;     // position of its first key
  int num_keys = 0;      // visible to some vector of the slice
  int num_vectors = 0;   // of the slice
  int num_key_vecs = 0;  // vectors of keys that hold them
  int num_segments = 0;
  bool half = false;                       // the last unit's second token is not yet written
  const char* keys[kTileKeys / 4] = {};    // of each vector of keys
  const char* values[kTileKeys / 4] = {};  // of the same tokens
  Segment segments[kTileKeys / 8 + 1];
};

// Finds tile t of the slice; `lanes` keys make a vector. A format says how many tokens make a unit
// of values and whether scales stand before a block's elements. One division a tile: they take as
// long as dozens of dot products.
template <class Format>
void Locate(const AttentionSlice& s, int64_t t, int lanes, Tile& tile) {
  const int64_t last = s.first_position + (s.vector_end - 1) / s.group;
  tile.first = t * kTileKeys;
  const int64_t visible = last + 1 - tile.first;
  tile.num_keys = static_cast<int>(visible < kTileKeys ? visible : kTileKeys);
  tile.num_vectors = s.vector_end - s.vector_begin;
  tile.half = tile.num_keys % Format::kPerUnit != 0;
  tile.num_key_vecs = 0;
  tile.num_segments = 0;
  const int group_bits = KeyGroup(s.block_size) == 16 ? 4 : 3;
  const int in_group = (1 << group_bits) - 1;
  const int64_t dim = Format::kHasScales ? (int64_t{s.head_dim} + 15) / 16 * 16 : s.head_dim;
  const int64_t group_bytes = (dim / Format::kPerUnit * 4) << group_bits;
  const int64_t header = Format::kHasScales ? int64_t{4} * s.block_size : 0;
  const int32_t* block = s.table + tile.first / s.block_size;
  int in_block = static_cast<int>(tile.first % s.block_size);
  for (int key = 0; key < tile.num_keys; ++block, in_block = 0) {
    const int rest = s.block_size - in_block;
    const int count = rest < tile.num_keys - key ? rest : tile.num_keys - key;
    Segment& segment = tile.segments[tile.num_segments++];
    const char* keys = static_cast<const char*>(s.k) + *block * s.block_stride;
    const char* values = static_cast<const char*>(s.v) + *block * s.block_stride;
    segment.keys = keys + header + (in_block >> group_bits) * group_bytes;
    segment.values = values + header + in_block / Format::kPerUnit * dim * 4;
    segment.num_units = (count + Format::kPerUnit - 1) / Format::kPerUnit;
    segment.key_scales = keys + int64_t{4} * in_block;
    segment.value_scales = values + int64_t{4} * in_block;
    segment.num_tokens = count;
    for (int i = 0; i < count; i += lanes) {
      const int token = in_block + i;
      tile.values[tile.num_key_vecs] = segment.values + i / Format::kPerUnit * dim * 4;
      tile.keys[tile.num_key_vecs++] =
          keys + header + (token >> group_bits) * group_bytes + (token & in_group) * 4;
    }
    key += count;
  }
}

// Four rows' sums (or maxima) over their lanes, side by side. Each row's order is the same wherever
// it stands among the four.
template <class Op>
HWY_INLINE void ReduceRows(const VecF<kLanes> (&rows)[4], const Op& op, float* out) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  const auto fold = [&](__m512 a, __m512 b) RA_INLINED { return op(DF(), a, b); };
  const auto pairs = [&](__m512 a, __m512 b) RA_INLINED {
    return fold(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  };
  const __m512 ab = pairs(rows[0].raw, rows[1].raw);
  const __m512 cd = pairs(rows[2].raw, rows[3].raw);
  const __m512 all = fold(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
  const __m512 half = fold(all, _mm512_shuffle_f32x4(all, all, 0x4E));
  const __m512 quarter = fold(half, _mm512_shuffle_f32x4(half, half, 0xB1));
  _mm_storeu_ps(out, _mm512_castps512_ps128(quarter));
#else
  for (int i = 0; i < 4; ++i) out[i] = op.OfLanes(DF(), rows[i]);
#endif
}

struct SumOp {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  HWY_INLINE __m512 operator()(DF, __m512 a, __m512 b) const { return _mm512_add_ps(a, b); }
#endif
  HWY_INLINE float OfLanes(DF d, VecF<kLanes> v) const { return hn::GetLane(hn::SumOfLanes(d, v)); }
};
struct MaxOp {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  HWY_INLINE __m512 operator()(DF, __m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
#endif
  HWY_INLINE float OfLanes(DF d, VecF<kLanes> v) const { return hn::GetLane(hn::MaxOfLanes(d, v)); }
};

// The keys of a tile that row r of the slice sees: low <= key <= high.
struct Visible {
  int64_t low;
  int64_t high;

  bool all() const { return low <= 0 && high >= kTileKeys - 1; }
};
HWY_INLINE Visible VisibleTo(const AttentionSlice& s, const Tile& tile, int r) {
  const int64_t high = s.first_position + (s.vector_begin + r) / s.group - tile.first;
  return {s.window == 0 ? -1 : high - s.window + 1, high};
}

// Scales and masks a row's scores; gives their maxima lane by lane.
HWY_INLINE VecF<kLanes> MaskRow(float* row, float scale, const Visible& visible) {
  const DF d;
  constexpr int kVecs = kTileKeys / kLanes;
  const auto by = hn::Set(d, scale);
  const auto nothing = hn::Set(d, kNothing);
  auto peak = nothing;
  if (visible.all()) {  // the same, in fewer steps
    RA_UNROLL for (int v = 0; v < kVecs; ++v) {
      const auto scaled = hn::Mul(hn::Load(d, row + v * kLanes), by);
      hn::Store(scaled, d, row + v * kLanes);
      peak = hn::Max(peak, scaled);
    }
    return peak;
  }
  // Both are small integers, exact in f32.
  const int64_t high = visible.high < kTileKeys ? visible.high : kTileKeys;
  const auto highest = hn::Set(d, static_cast<float>(high));
  const auto lowest = hn::Set(d, static_cast<float>(visible.low > -1 ? visible.low : -1));
  RA_UNROLL for (int v = 0; v < kVecs; ++v) {
    const auto key = hn::Iota(d, static_cast<float>(v * kLanes));
    const auto is_visible = hn::And(hn::Ge(key, lowest), hn::Le(key, highest));
    const auto scaled = hn::Mul(hn::Load(d, row + v * kLanes), by);
    const auto masked = hn::IfThenElse(is_visible, scaled, nothing);
    hn::Store(masked, d, row + v * kLanes);
    peak = hn::Max(peak, masked);
  }
  return peak;
}

// Scales and masks the scores, and finds each vector's maximum. Rows go by fours, the last of them
// maybe over rows that nobody reads.
void MaskScores(const AttentionSlice& s, const Tile& tile, const Scratch& c) {
  for (int r = 0; r < tile.num_vectors; r += 4) {
    VecF<kLanes> peaks[4];
    Unroll<4>([&](auto i) RA_INLINED {
      const Visible visible = VisibleTo(s, tile, r + i);
      peaks[i] = MaskRow(c.scores + (r + i) * kTileKeys, c.score_scale[r + i], visible);
    });
    ReduceRows(peaks, MaxOp(), c.tile_max + r);
  }
}

// What a row's scores are compared with: its maximum, or 0 where it sees nothing.
HWY_INLINE float ShiftOf(const Scratch& c, int r) {
  return c.tile_max[r] == kNothing ? 0.0f : c.tile_max[r];
}

void Start(const Scratch& c, int num_vectors) {
  for (int r = 0; r < num_vectors; ++r) {
    c.max[r] = kNothing;
    c.sum[r] = 0;
  }
  for (int64_t i = 0; i < num_vectors * c.width; ++i) c.out[i] = 0;
}

// Takes one tile's partial into the running result.
void Fold(const Scratch& c, int num_vectors, int64_t head_dim) {
  ForLanes(num_vectors, [&](auto d, int64_t i) HWY_ATTR {
    const auto was = hn::LoadU(d, c.max + i);
    const auto tile = hn::LoadU(d, c.tile_max + i);
    const auto now = hn::Max(was, tile);
    const auto shift = hn::IfThenElse(hn::Eq(now, hn::Set(d, kNothing)), hn::Zero(d), now);
    const auto keep = Exp2(d, hn::Sub(was, shift));
    const auto take = Exp2(d, hn::Sub(tile, shift));
    const auto sum = hn::Mul(hn::LoadU(d, c.sum + i), keep);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, c.tile_sum + i), take, sum), d, c.sum + i);
    hn::StoreU(now, d, c.max + i);
    hn::StoreU(keep, d, c.keep + i);
    hn::StoreU(take, d, c.take + i);
  });
  for (int r = 0; r < num_vectors; ++r) {
    float* out = c.out + r * c.width;
    const float* tile_out = c.tile_out + r * c.width;
    ForLanes(head_dim, [&](auto d, int64_t i) HWY_ATTR {
      const auto kept = hn::Mul(hn::LoadU(d, out + i), hn::Set(d, c.keep[r]));
      hn::StoreU(hn::MulAdd(hn::LoadU(d, tile_out + i), hn::Set(d, c.take[r]), kept), d, out + i);
    });
  }
}

void Finish(const AttentionSlice& s, const Scratch& c) {
  for (int f = s.vector_begin; f < s.vector_end; ++f) {
    const int r = f - s.vector_begin;
    const int64_t to = (f / s.group) * s.out_stride + int64_t{f % s.group} * s.head_dim;
    ForLanes(s.head_dim, [&](auto d, int64_t i) HWY_ATTR {
      const auto value = hn::LoadU(d, c.out + r * c.width + i);
      StoreRow(d, hn::Div(value, hn::Set(d, c.sum[r])), s.out, s.out_is_bf16, to + i);
    });
  }
}

// One tile's partial of one vector: maximum, sum, D outputs.
HWY_INLINE float* PartialOf(const AttentionSlice& s, int64_t tile, int r) {
  const int64_t num_vectors = s.vector_end - s.vector_begin;
  return s.partials + (tile * num_vectors + r) * (2 + s.head_dim);
}

void KeepPartial(const AttentionSlice& s, const Scratch& c, int64_t tile, int num_vectors) {
  for (int r = 0; r < num_vectors; ++r) {
    float* to = PartialOf(s, tile, r);
    to[0] = c.tile_max[r];
    to[1] = c.tile_sum[r];
    __builtin_memcpy(to + 2, c.tile_out + r * c.width, static_cast<size_t>(s.head_dim) * 4);
  }
}

}  // namespace
}  // namespace runahead::cpu::RA_ISA
