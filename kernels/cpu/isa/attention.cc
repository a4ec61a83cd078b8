// softmax(scale q K^T) V of up to 32 query vectors over one KV head's tiles of 64 keys, online over
// the tiles.
//
// All query vectors of a KV head (rows x heads of the group) share each tile's K and V, read once
// from memory:
//
//   for each tile, ascending:   Scores   s[vectors, 64]  = q K^T        lanes are keys
//                               Softmax  p = 2^(s log2 e - max of this tile), masked keys 0
//                               Weighted o_t[vectors, D] = p V          lanes are d
//                               Fold     o = o 2^(m - m') + o_t 2^(m_t - m'), m' = max(m, m_t); l
//                               likewise
//
// A tile's partial (m_t, l_t, o_t) depends on that tile alone, so tiles may be computed by any
// thread; they are folded in ascending order whether at once or later from memory, so the bits are
// the same. A tile with no visible key folds to nothing, exactly. With a bf16 cache, q and p are
// rounded to bf16 and products are summed in f32.
//
// Roofline: 2 * context * D * bytes(kv) read per KV head; 4 * vectors * context * D operations.
#include "kernels/cpu/isa/attention-inl.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

struct Bf16 {
  static constexpr int kPerUnit = 2;
  static constexpr bool kHasScales = false;
  static constexpr bool kIsBf16 = true;
  template <int kNum>
  using Vec = VecU<kNum>;
  template <int kNum>
  static HWY_INLINE Vec<kNum> Load(const void* p) {
    return hn::LoadU(TagU<TagF<kNum>>(), static_cast<const uint32_t*>(p));
  }
  template <int kNum>
  static HWY_INLINE Vec<kNum> Splat(const void* p) {
    return hn::Set(TagU<TagF<kNum>>(), *static_cast<const uint32_t*>(p));
  }
  // Without the second token of each pair.
  template <int kNum>
  static HWY_INLINE Vec<kNum> FirstOfPair(Vec<kNum> v) {
    return hn::And(v, hn::Set(TagU<TagF<kNum>>(), 0xFFFFu));
  }
  template <int kNum>
  static HWY_INLINE VecF<kNum> Mac(VecF<kNum> acc, Vec<kNum> a, Vec<kNum> b) {
    return DotPair(TagF<kNum>(), acc, a, b);
  }
};

struct F32 {
  static constexpr int kPerUnit = 1;
  static constexpr bool kHasScales = false;
  static constexpr bool kIsBf16 = false;
  template <int kNum>
  using Vec = VecF<kNum>;
  template <int kNum>
  static HWY_INLINE Vec<kNum> Load(const void* p) {
    return hn::LoadU(TagF<kNum>(), static_cast<const float*>(p));
  }
  template <int kNum>
  static HWY_INLINE Vec<kNum> Splat(const void* p) {
    return hn::Set(TagF<kNum>(), *static_cast<const float*>(p));
  }
  template <int kNum>
  static HWY_INLINE Vec<kNum> FirstOfPair(Vec<kNum> v) {
    return v;
  }
  template <int kNum>
  static HWY_INLINE VecF<kNum> Mac(VecF<kNum> acc, Vec<kNum> a, Vec<kNum> b) {
    return hn::MulAdd(a, b, acc);
  }
};

template <class Format>
void LoadQueries(const AttentionSlice& s, const Scratch& c) {
  const int elem = s.q_is_bf16 ? 2 : 4;
  for (int f = s.vector_begin; f < s.vector_end; ++f) {
    const int64_t at = (f / s.group) * s.q_stride + int64_t{f % s.group} * s.head_dim;
    const char* from = static_cast<const char*>(s.q) + at * elem;
    c.score_scale[f - s.vector_begin] = s.scale * kLog2E;
    const int64_t to = int64_t{f - s.vector_begin} * s.head_dim;
    ForLanes(s.head_dim, [&](auto d, int64_t i) HWY_ATTR {
      StoreRow(d, LoadRow(d, from, s.q_is_bf16, i), c.q, Format::kIsBf16, to + i);
    });
  }
}

// Scores of query vectors [r, r + kVectors) against vectors of keys [v, v + kVecs). Each step also
// asks for values of the same tokens, and Weighted asks for the next tile's keys: blocks are
// scattered, so the hardware cannot guess them. Half a tile is about the memory latency; a whole
// tile ahead would keep four tiles' lines in the same half of the first-level cache's sets.
template <class Format, int kNum, int kVectors, int kVecs>
HWY_INLINE void ScoreKeys(const AttentionSlice& s, const Tile& tile, const Scratch& c, int r,
                          int v) {
  const int64_t units = s.head_dim / Format::kPerUnit;
  const int64_t stride = int64_t{KeyGroup(s.block_size)} * 4;
  const float* q = c.q + r * units;
  const char* keys[kVecs];
  const char* ahead[kVecs];
  VecF<kNum> acc[kVectors][kVecs];
  RA_UNROLL for (int j = 0; j < kVecs; ++j) {
    keys[j] = tile.keys[v + j];
    ahead[j] = tile.values[v + j];
    RA_UNROLL for (int i = 0; i < kVectors; ++i) acc[i][j] = hn::Zero(TagF<kNum>());
  }
  for (int64_t u = 0; u < units; ++u) {
    typename Format::template Vec<kNum> key[kVecs];
    RA_UNROLL for (int j = 0; j < kVecs; ++j) {
      key[j] = Format::template Load<kNum>(keys[j] + u * stride);
      __builtin_prefetch(ahead[j] + u * stride);
    }
    RA_UNROLL for (int i = 0; i < kVectors; ++i) {
      const auto value = Format::template Splat<kNum>(q + i * units + u);
      RA_UNROLL for (int j = 0; j < kVecs; ++j) {
        acc[i][j] = Format::template Mac<kNum>(acc[i][j], key[j], value);
      }
    }
  }
  float* scores = c.scores + r * kTileKeys + v * kNum;
  RA_UNROLL for (int i = 0; i < kVectors; ++i) {
    RA_UNROLL for (int j = 0; j < kVecs; ++j) {
      hn::StoreU(acc[i][j], TagF<kNum>(), scores + i * kTileKeys + j * kNum);
    }
  }
}

// All query vectors from r on, in the largest register tiles that fit.
template <class Format, int kNum, int kVectors>
HWY_INLINE void Scores(const AttentionSlice& s, const Tile& tile, const Scratch& c, int r) {
  constexpr int kVecs = TileVecs(kVectors);
  for (; r + kVectors <= tile.num_vectors; r += kVectors) {
    int v = 0;
    for (; v + kVecs <= tile.num_key_vecs; v += kVecs) {
      ScoreKeys<Format, kNum, kVectors, kVecs>(s, tile, c, r, v);
    }
    for (; v < tile.num_key_vecs; ++v) {
      ScoreKeys<Format, kNum, kVectors, 1>(s, tile, c, r, v);
    }
  }
  if constexpr (kVectors > 1) {
    if (r < tile.num_vectors) Scores<Format, kNum, kVectors / 2>(s, tile, c, r);
  }
}

// Leaves weights, and the tile's sum per vector; four rows at a time, so that their long chains
// overlap.
template <class Format>
void Softmax(const Tile& tile, const Scratch& c) {
  const DF d;
  for (int r = 0; r < tile.num_vectors; r += 4) {
    VecF<kLanes> sums[4];
    Unroll<4>([&](auto i) RA_INLINED {
      const float* row = c.scores + (r + i) * kTileKeys;
      const auto shift = hn::Set(d, ShiftOf(c, r + i));
      sums[i] = hn::Zero(d);
      RA_UNROLL for (int v = 0; v < kTileKeys / kLanes; ++v) {
        const auto weight = Exp2(d, hn::Sub(hn::Load(d, row + v * kLanes), shift));
        sums[i] = hn::Add(sums[i], weight);
        if constexpr (Format::kIsBf16) {
          StoreWeights(d, weight, c.weights, (r + i) * kTileKeys + v * kLanes);
        } else {
          hn::Store(weight, d, c.weights + (r + i) * kTileKeys + v * kLanes);
        }
      }
    });
    ReduceRows(sums, SumOp(), c.tile_sum + r);
  }
}

// Output elements [at, at + kVecs * kNum) of kVectors query vectors for one tile.
template <class Format, int kNum, int kVectors, int kVecs>
HWY_INLINE void WeighValues(const AttentionSlice& s, const Tile& tile, const Tile& next,
                            const Scratch& c, int r, int64_t at) {
  constexpr int kPer = Format::kPerUnit;
  const float* weights = c.weights + r * (kTileKeys / kPer);
  VecF<kNum> acc[kVectors][kVecs];
  RA_UNROLL for (int i = 0; i < kVectors; ++i) {
    RA_UNROLL for (int v = 0; v < kVecs; ++v) acc[i][v] = hn::Zero(TagF<kNum>());
  }
  const auto step = [&](const char* value, const char* ahead, int unit, bool half) HWY_ATTR {
    typename Format::template Vec<kNum> values[kVecs];
    RA_UNROLL for (int v = 0; v < kVecs; ++v) {
      values[v] = Format::template Load<kNum>(value + v * kNum * 4);
      __builtin_prefetch(ahead + v * kNum * 4);
      if (half) values[v] = Format::template FirstOfPair<kNum>(values[v]);
    }
    RA_UNROLL for (int i = 0; i < kVectors; ++i) {
      const auto weight = Format::template Splat<kNum>(weights + i * (kTileKeys / kPer) + unit);
      RA_UNROLL for (int v = 0; v < kVecs; ++v) {
        acc[i][v] = Format::template Mac<kNum>(acc[i][v], values[v], weight);
      }
    }
  };
  int unit = 0;
  for (int g = 0; g < tile.num_segments; ++g) {
    const char* value = tile.segments[g].values + at * 4;
    // The same part of the next tile's keys, where there is one: they take as many bytes.
    const char* ahead = g < next.num_segments ? next.segments[g].keys + at * 4 : value;
    int count = tile.segments[g].num_units;
    // What the missing half of the last unit holds must not count, not even as 0 * NaN.
    const bool half = tile.half && g + 1 == tile.num_segments;
    if (half) --count;
    for (int i = 0; i < count; ++i, ++unit) {
      step(value, ahead, unit, false);
      value += s.head_dim * 4;
      ahead += s.head_dim * 4;
    }
    if (half) step(value, value, unit, true);
  }
  RA_UNROLL for (int i = 0; i < kVectors; ++i) {
    RA_UNROLL for (int v = 0; v < kVecs; ++v) {
      hn::StoreU(acc[i][v], TagF<kNum>(), c.tile_out + (r + i) * c.width + at + v * kNum);
    }
  }
}

template <class Format, int kVectors>
HWY_INLINE void WeighVectors(const AttentionSlice& s, const Tile& tile, const Tile& next,
                             const Scratch& c, int r) {
  constexpr int kVecs = TileVecs(kVectors);
  for (; r + kVectors <= tile.num_vectors; r += kVectors) {
    int64_t at = 0;
    for (; at + kVecs * kLanes <= s.head_dim; at += kVecs * kLanes) {
      WeighValues<Format, kLanes, kVectors, kVecs>(s, tile, next, c, r, at);
    }
    for (; at + kLanes <= s.head_dim; at += kLanes) {
      WeighValues<Format, kLanes, kVectors, 1>(s, tile, next, c, r, at);
    }
  }
  if constexpr (kVectors > 1) {
    if (r < tile.num_vectors) WeighVectors<Format, kVectors / 2>(s, tile, next, c, r);
  }
}

template <class Format>
void Weighted(const AttentionSlice& s, const Tile& tile, const Tile& next, const Scratch& c) {
  WeighVectors<Format, kMaxVectors>(s, tile, next, c, 0);
  const int64_t rest = s.head_dim / kLanes * kLanes;
  if (rest == s.head_dim) return;
  for (int r = 0; r < tile.num_vectors; ++r) {
    ForLanesFrom<kLanes / 2>(rest, s.head_dim, [&](auto d, int64_t at) HWY_ATTR {
      WeighValues<Format, hn::MaxLanes(decltype(d)()), 1, 1>(s, tile, next, c, r, at);
    });
  }
}

// Lanes are keys of one group, so a vector never crosses blocks. The scores of the next tile are on
// their way while a tile's softmax goes through its long chain of maximum, powers and sums.
template <class Format, int kNum>
void AttendTiles(const AttentionSlice& s) {
  const Scratch c = Cut(s);
  const int num_vectors = s.vector_end - s.vector_begin;
  LoadQueries<Format>(s, c);
  Start(c, num_vectors);
  Tile tiles[3];
  const auto locate = [&](int64_t t) {
    tiles[t % 3].num_key_vecs = 0;
    tiles[t % 3].num_segments = 0;
    if (t < s.tile_end) Locate<Format>(s, t, kNum, tiles[t % 3]);
  };
  locate(s.tile_begin);
  locate(s.tile_begin + 1);
  Scores<Format, kNum, kMaxVectors>(s, tiles[s.tile_begin % 3], c, 0);
  for (int64_t t = s.tile_begin; t < s.tile_end; ++t) {
    const Tile& tile = tiles[t % 3];
    MaskScores(s, tile, c);
    Softmax<Format>(tile, c);
    locate(t + 2);
    if (t + 1 < s.tile_end) Scores<Format, kNum, kMaxVectors>(s, tiles[(t + 1) % 3], c, 0);
    Weighted<Format>(s, tile, tiles[(t + 2) % 3], c);
    if (s.partials == nullptr) {
      Fold(c, num_vectors, s.head_dim);
    } else {
      KeepPartial(s, c, t, num_vectors);
    }
  }
  if (s.partials == nullptr) Finish(s, c);
}

template <class Format>
void Attend(const AttentionSlice& s) {
  if (KeyGroup(s.block_size) >= kLanes) {
    AttendTiles<Format, kLanes>(s);
  } else {
    AttendTiles<Format, (kLanes < 8 ? kLanes : 8)>(s);
  }
}

}  // namespace

void Attention(const AttentionSlice& slice) {
  if (slice.kv_is_bf16) {
    Attend<Bf16>(slice);
  } else {
    Attend<F32>(slice);
  }
}

void MergeAttention(const AttentionSlice& s) {
  const Scratch c = Cut(s);
  const int num_vectors = s.vector_end - s.vector_begin;
  Start(c, num_vectors);
  for (int64_t t = s.tile_begin; t < s.tile_end; ++t) {
    for (int r = 0; r < num_vectors; ++r) {
      const float* from = PartialOf(s, t, r);
      c.tile_max[r] = from[0];
      c.tile_sum[r] = from[1];
      __builtin_memcpy(c.tile_out + r * c.width, from + 2, static_cast<size_t>(s.head_dim) * 4);
    }
    Fold(c, num_vectors, s.head_dim);
  }
  Finish(s, c);
}

}  // namespace runahead::cpu::RA_ISA
