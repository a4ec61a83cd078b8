// softmax(scale q K^T) V of up to 32 query vectors over one KV head's tiles of 64 keys, online over
// the tiles.
//
// All query vectors of a KV head (rows x heads of the group) share each tile's K and V, read once
// from memory:
//
//   for each tile, ascending:   Scores   s[vectors, 64]  = q K^T        lanes are keys
//                               Softmax  p = exp(s - max of this tile), masked keys 0
//                               Weighted o_t[vectors, D] = p V          lanes are d
//                               Fold     o = o e^(m - m') + o_t e^(m_t - m'), m' = max(m, m_t); l
//                               likewise
//
// A tile's partial (m_t, l_t, o_t) depends on that tile alone, so tiles may be computed by any
// thread; they are folded in ascending order whether at once or later from memory, so the bits are
// the same. A tile with no visible key folds to nothing, exactly. With a bf16 cache, q and p are
// rounded to bf16 and products are summed in f32.
//
// Roofline: 2 * context * D * bytes(kv) read per KV head; 4 * vectors * context * D operations.
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2
constexpr int kMaxVectors = 4;  // query vectors in registers
#else
constexpr int kMaxVectors = 8;
#endif

struct Bf16 {
  static constexpr int kPerUnit = 2;
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

// This thread's scratch, cut up. Rows are query vectors of the slice.
struct Scratch {
  float* q;         // [32, U] units
  float* scores;    // [32, 64]
  float* weights;   // [32, 64 / P] units
  float* tile_out;  // [32, D]
  float* out;       // [32, D]
  float* tile_max;  // [32]
  float* tile_sum;
  float* max;
  float* sum;
  float* keep;  // factor of what was
  float* take;  // factor of the tile
};

HWY_INLINE Scratch Cut(const AttentionSlice& s) {
  constexpr int64_t n = kMaxQueryVectors;
  Scratch c;
  c.q = s.scratch;
  c.scores = c.q + n * s.head_dim;
  c.weights = c.scores + n * kTileKeys;
  c.tile_out = c.weights + n * kTileKeys;
  c.out = c.tile_out + n * s.head_dim;
  c.tile_max = c.out + n * s.head_dim;
  c.tile_sum = c.tile_max + n;
  c.max = c.tile_sum + n;
  c.sum = c.max + n;
  c.keep = c.sum + n;
  c.take = c.keep + n;
  return c;
}

constexpr float kNothing = -__builtin_inff();

// A run of tokens within one block: where their values and their keys begin.
struct Segment {
  const char* values = nullptr;
  const char* keys = nullptr;
  int num_units = 0;  // of values
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

template <class Format>
void LoadQueries(const AttentionSlice& s, float* q) {
  const int elem = s.q_is_bf16 ? 2 : 4;
  for (int f = s.vector_begin; f < s.vector_end; ++f) {
    const int64_t at = (f / s.group) * s.q_stride + int64_t{f % s.group} * s.head_dim;
    const char* from = static_cast<const char*>(s.q) + at * elem;
    const int64_t to = int64_t{f - s.vector_begin} * s.head_dim;
    ForLanes(s.head_dim, [&](auto d, int64_t i) HWY_ATTR {
      StoreRow(d, LoadRow(d, from, s.q_is_bf16, i), q, Format::kIsBf16, to + i);
    });
  }
}

HWY_INLINE const char* BlockOf(const AttentionSlice& s, const void* cache, int64_t position) {
  return static_cast<const char*>(cache) + s.table[position / s.block_size] * s.block_stride;
}

// Finds tile t of the slice; `lanes` keys make a vector.
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
  const int group = KeyGroup(s.block_size);
  const int64_t units = s.head_dim / Format::kPerUnit;
  for (int key = 0; key < tile.num_keys;) {
    const int64_t position = tile.first + key;
    const int in_block = static_cast<int>(position % s.block_size);
    const int rest = s.block_size - in_block;
    const int count = rest < tile.num_keys - key ? rest : tile.num_keys - key;
    Segment& segment = tile.segments[tile.num_segments++];
    segment.keys = BlockOf(s, s.k, position) + in_block / group * units * group * 4;
    segment.values =
        BlockOf(s, s.v, position) + int64_t{in_block / Format::kPerUnit} * s.head_dim * 4;
    segment.num_units = (count + Format::kPerUnit - 1) / Format::kPerUnit;
    for (int i = 0; i < count; i += lanes) {
      tile.values[tile.num_key_vecs] = segment.values + i / Format::kPerUnit * s.head_dim * 4;
      tile.keys[tile.num_key_vecs++] =
          segment.keys +
          ((in_block % group + i) / group * units * group + (in_block + i) % group) * 4;
    }
    key += count;
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

// Vectors side by side in a register tile: enough chains to hide a multiply-add's latency.
constexpr int TileVecs(int num_vectors) { return kMaxVectors == 8 && num_vectors < 8 ? 4 : 2; }

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

// Scales and masks the scores, and finds each vector's maximum.
void MaskScores(const AttentionSlice& s, const Tile& tile, const Scratch& c) {
  const DF d;
  constexpr int kVecs = kTileKeys / kLanes;
  const auto nothing = hn::Set(d, kNothing);
  for (int r = 0; r < tile.num_vectors; ++r) {
    // Visible keys of the tile: low <= key <= high. Both are small integers, exact in f32.
    const int64_t high = s.first_position + (s.vector_begin + r) / s.group - tile.first;
    const int64_t low = s.window == 0 ? -1 : high - s.window + 1;
    const auto highest = hn::Set(d, static_cast<float>(high < kTileKeys ? high : kTileKeys));
    const auto lowest = hn::Set(d, static_cast<float>(low > -1 ? low : -1));
    float* row = c.scores + r * kTileKeys;
    auto peak = nothing;
    RA_UNROLL for (int v = 0; v < kVecs; ++v) {
      const auto key = hn::Iota(d, static_cast<float>(v * kLanes));
      const auto visible = hn::And(hn::Ge(key, lowest), hn::Le(key, highest));
      const auto scaled = hn::Mul(hn::Load(d, row + v * kLanes), hn::Set(d, s.scale));
      const auto masked = hn::IfThenElse(visible, scaled, nothing);
      hn::Store(masked, d, row + v * kLanes);
      peak = hn::Max(peak, masked);
    }
    c.tile_max[r] = hn::GetLane(hn::MaxOfLanes(d, peak));
  }
}

// Leaves weights, and the tile's maximum and sum per vector. Two loops, so that more vectors than
// one are on their way through the long chain of maximum, exponential and sum.
template <class Format>
void Softmax(const AttentionSlice& s, const Tile& tile, const Scratch& c) {
  const DF d;
  MaskScores(s, tile, c);
  for (int r = 0; r < tile.num_vectors; ++r) {
    const float* row = c.scores + r * kTileKeys;
    const float max = c.tile_max[r];
    const auto shift = hn::Set(d, max == kNothing ? 0.0f : max);
    auto sum = hn::Zero(d);
    RA_UNROLL for (int v = 0; v < kTileKeys / kLanes; ++v) {
      const auto weight = Exp(d, hn::Sub(hn::Load(d, row + v * kLanes), shift));
      sum = hn::Add(sum, weight);
      if constexpr (Format::kIsBf16) {
        StoreWeights(d, weight, c.weights, r * kTileKeys + v * kLanes);
      } else {
        hn::Store(weight, d, c.weights + r * kTileKeys + v * kLanes);
      }
    }
    c.tile_sum[r] = hn::GetLane(hn::SumOfLanes(d, sum));
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
      hn::StoreU(acc[i][v], TagF<kNum>(), c.tile_out + (r + i) * s.head_dim + at + v * kNum);
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

void Start(const Scratch& c, int num_vectors, int64_t head_dim) {
  for (int r = 0; r < num_vectors; ++r) {
    c.max[r] = kNothing;
    c.sum[r] = 0;
  }
  for (int64_t i = 0; i < num_vectors * head_dim; ++i) c.out[i] = 0;
}

// Takes one tile's partial into the running result.
void Fold(const Scratch& c, int num_vectors, int64_t head_dim) {
  ForLanes(num_vectors, [&](auto d, int64_t i) HWY_ATTR {
    const auto was = hn::LoadU(d, c.max + i);
    const auto tile = hn::LoadU(d, c.tile_max + i);
    const auto now = hn::Max(was, tile);
    const auto shift = hn::IfThenElse(hn::Eq(now, hn::Set(d, kNothing)), hn::Zero(d), now);
    const auto keep = Exp(d, hn::Sub(was, shift));
    const auto take = Exp(d, hn::Sub(tile, shift));
    const auto sum = hn::Mul(hn::LoadU(d, c.sum + i), keep);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, c.tile_sum + i), take, sum), d, c.sum + i);
    hn::StoreU(now, d, c.max + i);
    hn::StoreU(keep, d, c.keep + i);
    hn::StoreU(take, d, c.take + i);
  });
  for (int r = 0; r < num_vectors; ++r) {
    float* out = c.out + r * head_dim;
    const float* tile_out = c.tile_out + r * head_dim;
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
      const auto value = hn::LoadU(d, c.out + int64_t{r} * s.head_dim + i);
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
    __builtin_memcpy(to + 2, c.tile_out + r * s.head_dim, static_cast<size_t>(s.head_dim) * 4);
  }
}

// Lanes are keys of one group, so a vector never crosses blocks.
template <class Format, int kNum>
void AttendTiles(const AttentionSlice& s) {
  const Scratch c = Cut(s);
  const int num_vectors = s.vector_end - s.vector_begin;
  LoadQueries<Format>(s, c.q);
  Start(c, num_vectors, s.head_dim);
  Tile tiles[2];
  Locate<Format>(s, s.tile_begin, kNum, tiles[0]);
  for (int64_t t = s.tile_begin; t < s.tile_end; ++t) {
    const Tile& tile = tiles[(t - s.tile_begin) % 2];
    Tile& next = tiles[(t - s.tile_begin + 1) % 2];
    next.num_key_vecs = 0;
    next.num_segments = 0;
    if (t + 1 < s.tile_end) Locate<Format>(s, t + 1, kNum, next);
    Scores<Format, kNum, kMaxVectors>(s, tile, c, 0);
    Softmax<Format>(s, tile, c);
    Weighted<Format>(s, tile, next, c);
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
  Start(c, num_vectors, s.head_dim);
  for (int64_t t = s.tile_begin; t < s.tile_end; ++t) {
    for (int r = 0; r < num_vectors; ++r) {
      const float* from = PartialOf(s, t, r);
      c.tile_max[r] = from[0];
      c.tile_sum[r] = from[1];
      __builtin_memcpy(c.tile_out + r * s.head_dim, from + 2, static_cast<size_t>(s.head_dim) * 4);
    }
    Fold(c, num_vectors, s.head_dim);
  }
  Finish(s, c);
}

}  // namespace runahead::cpu::RA_ISA
