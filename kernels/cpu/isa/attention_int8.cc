// Attention over an INT8 cache (attention.cc has the stages): both products are INT8 dot products,
// summed exactly in 32 bits.
//
// The stored values stay as they are. A query vector becomes values of eight bits with one scale,
// its max |q| / 127, as a quantized layer's input does. A tile's softmax weights, each times its
// value's scale, become two digits of seven bits, their largest / 16383 times 128 hi + lo: a tile
// with one large weight and many small ones must not lose the small ones. The sum over hi digits is
// shifted by seven bits and the sum over lo digits goes on from there:
//
//   score[key]  = float(sum_d q[d] k[key, d]) key_scale[key] q_scale
//   w[key]      = 2^(score[key] log2 e - max of this tile) value_scale[key]
//   tile_out[d] = float(128 sum_key hi[key] v[key, d] + sum_key lo[key] v[key, d]) w_scale
//
// On the demo model a second digit of q changed no figure (mean KL to a BF16 cache 0.000044 either
// way) and took a seventh of the time; one digit of w alone made 0.000056.
//
// |sum| <= 127 x 127 x D < 2^31 for D <= 1024, and 64 x 16383 x 127 < 2^31.
//
// A value with scale NaN makes the weights' scale NaN for the rows that see it, and for no other.
#include "kernels/cpu/isa/attention-inl.h"
#include "kernels/cpu/isa/dot-inl.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/quantize_row-inl.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

constexpr float kQueryLevels = 127;
constexpr float kWeightLevels = 127 * 128 + 127;
// Tiles whose largest weight is below this weigh nothing: its inverse would leave f32.
constexpr float kLeastWeight = 0x1p-100f;

// How many tiles ahead memory is asked for.
constexpr int kTilesAhead = 1;
constexpr int kTilesHeld = kTilesAhead + 2;

// What a loop asks for, as a type.
template <bool kAsks>
struct Asks {
  static constexpr bool value = kAsks;
};

struct Int8 {
  static constexpr int kPerUnit = 4;
  static constexpr bool kHasScales = true;
};

// A tile's weights: a row of hi digits, then one of lo digits, for each vector.
HWY_INLINE uint8_t* HiWeights(const Scratch& c, int64_t r) {
  return reinterpret_cast<uint8_t*>(c.weights) + 2 * r * kTileKeys;
}
HWY_INLINE uint8_t* LoWeights(const Scratch& c, int64_t r) { return HiWeights(c, r) + kTileKeys; }
HWY_INLINE uint8_t* QueryOf(const Scratch& c, int64_t r) {
  return reinterpret_cast<uint8_t*>(c.q) + r * c.width;
}

// The low byte of each lane.
HWY_INLINE void StoreBytes(VecI v, uint8_t* to) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(v.raw));
#else
  const hn::Rebind<uint8_t, DF> d8;
  hn::StoreU(hn::TruncateTo(d8, hn::BitCast(DU(), v)), d8, to);
#endif
}

// Dot of unsigned (or, without such an instruction, signed) by signed bytes onto sums, in place:
// around the intrinsic GCC 12 copies every sum twice.
HWY_INLINE void AddDot(VecI& sums, VecBytes w, VecBytes x) {
#if defined(__AVX512VNNI__)
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums.raw) : "v"(w.raw), "v"(x.raw));
#else
  sums = Dot(sums, w, x);
#endif
}

HWY_INLINE VecBytes SplatFour(const uint8_t* from) {
  uint32_t four = 0;
  __builtin_memcpy(&four, from, 4);
  return hn::Set(DU(), four);
}

// Query vector r to eight bits; x holds its elements, and zeros up to the width.
void QuantizeQuery(const AttentionSlice& s, const Scratch& c, int r, const float* x) {
  const DI di;
  const uint32_t largest_bits = LargestBits(x, c.width);
  float largest = 0;
  __builtin_memcpy(&largest, &largest_bits, 4);
  const bool is_finite = largest_bits < 0x7F800000u;
  const bool has_values = is_finite && largest > kLeastQuantized;
  const float scale = has_values ? largest / kQueryLevels : is_finite ? 0.0f : __builtin_nanf("");
  c.score_scale[r] = scale * (s.scale * kLog2E);
  const auto inverse = hn::Set(DF(), has_values ? kQueryLevels / largest : 0.0f);
  auto sum = hn::Zero(di);
  for (int64_t i = 0; i < c.width; i += kLanes) {
    const auto value = is_finite ? hn::LoadU(DF(), x + i) : hn::Zero(DF());
    const auto whole = hn::NearestInt(hn::Mul(value, inverse));
    sum = hn::Add(sum, whole);
    StoreBytes(whole, QueryOf(c, r) + i);
  }
  // Where keys are multiplied as stored, as value + 128.
  c.bias[r] = RA_DOT_UNSIGNED ? -128 * hn::GetLane(hn::SumOfLanes(di, sum)) : 0;
}

void LoadQueries(const AttentionSlice& s, const Scratch& c) {
  const int elem = s.q_is_bf16 ? 2 : 4;
  for (int f = s.vector_begin; f < s.vector_end; ++f) {
    const int64_t at = (f / s.group) * s.q_stride + int64_t{f % s.group} * s.head_dim;
    const char* from = static_cast<const char*>(s.q) + at * elem;
    float* x = c.tile_out;
    ForLanes(s.head_dim, [&](auto d, int64_t i)
                             HWY_ATTR { hn::StoreU(LoadRow(d, from, s.q_is_bf16, i), d, x + i); });
    for (int64_t i = s.head_dim; i < c.width; ++i) x[i] = 0;
    QuantizeQuery(s, c, f - s.vector_begin, x);
  }
}

// Brings the tile's scales together, 0 for what is not written yet, and gives a bit for each value
// whose scale is NaN, which becomes 0 here.
template <int kParts>
uint64_t LoadScales(const Tile& tile, const Scratch& c) {
  constexpr int kStep = kLanes / kParts;  // a block holds a multiple
  const TagF<kStep> part;
  int at = 0;
  for (int g = 0; g < tile.num_segments; ++g) {
    const Segment& segment = tile.segments[g];
    const auto* keys = reinterpret_cast<const float*>(segment.key_scales);
    const auto* values = reinterpret_cast<const float*>(segment.value_scales);
    for (int i = 0; i < segment.num_tokens; i += kStep, at += kStep) {
      hn::StoreU(hn::LoadU(part, keys + i), part, c.key_scales + at);
      hn::StoreU(hn::LoadU(part, values + i), part, c.value_scales + at);
    }
  }
  for (int i = tile.num_keys; i < kTileKeys; ++i) c.key_scales[i] = c.value_scales[i] = 0;
  const DF d;
  auto sum = hn::Zero(d);  // of scales: not negative, never infinite
  RA_UNROLL for (int v = 0; v < kTileKeys / kLanes; ++v) {
    sum = hn::Add(sum, hn::Load(d, c.value_scales + v * kLanes));
  }
  if (hn::AllFalse(d, hn::IsNaN(sum))) return 0;
  uint64_t bad = 0;
  for (int key = 0; key < kTileKeys; ++key) {
    if (!__builtin_isnan(c.value_scales[key])) continue;
    bad |= uint64_t{1} << key;
    c.value_scales[key] = 0;
  }
  return bad;
}

// Four bytes of d of kLanes keys; kParts runs of them make a vector.
template <int kParts>
HWY_INLINE VecBytes LoadKeys(const char* const* from, int64_t offset) {
  const auto at = [&](int part) { return reinterpret_cast<const uint32_t*>(from[part] + offset); };
  VecBytes stored;
  if constexpr (kParts == 1) {
    stored = hn::LoadU(DU(), at(0));
  } else {
    const hn::Half<DU> half;
    stored = hn::Combine(DU(), hn::LoadU(half, at(1)), hn::LoadU(half, at(0)));
  }
  return RA_DOT_UNSIGNED ? stored : hn::Xor(stored, hn::Set(DU(), 0x80808080u));
}

// Scores of query vectors [r, r + kVectors) against vectors of keys [v, v + kVecs). Where kAsks,
// memory is asked ahead: blocks are scattered, so the hardware cannot guess them. Requests are
// spread over a tile's three loops, as many a cycle as can be under way: half of a later tile's
// keys here, the other half beside the hi digits of the weights, values beside the lo digits (1.25x
// of asking for all keys here and for all values beside the hi digits).
template <int kParts, bool kAsks, int kVectors, int kVecs>
HWY_INLINE void ScoreKeys(const AttentionSlice& s, const Tile& tile, const Tile& later,
                          const Scratch& c, int r, int v) {
  const DI di;
  const int64_t quads = (int64_t{s.head_dim} + 3) / 4;
  const int64_t stride = int64_t{KeyGroup(s.block_size)} * 4;
  VecI acc[kVectors][kVecs];
  Unroll<kVectors>([&](auto i) RA_INLINED {
    const auto bias = hn::Set(di, c.bias[r + i]);
    Unroll<kVecs>([&](auto j) RA_INLINED { acc[i][j] = bias; });
  });
  const uint8_t* queries = QueryOf(c, r);
  for (int64_t u = 0; u < quads; ++u, queries += 4) {
    VecBytes key[kVecs];
    Unroll<kVecs>([&](auto j) RA_INLINED {
      key[j] = LoadKeys<kParts>(tile.keys + (v + j) * kParts, u * stride);
      if constexpr (kAsks && j % 2 == 0) {
        Unroll<kParts>([&](auto p) RA_INLINED {
          __builtin_prefetch(later.keys[(v + j) * kParts + p] + u * stride);
        });
      }
    });
    Unroll<kVectors>([&](auto i) RA_INLINED {
      const auto q = SplatFour(queries + i * c.width);
      Unroll<kVecs>([&](auto j) RA_INLINED { AddDot(acc[i][j], key[j], q); });
    });
  }
  Unroll<kVecs>([&](auto j) RA_INLINED {
    const auto scales = hn::LoadU(DF(), c.key_scales + (v + j) * kLanes);
    Unroll<kVectors>([&](auto i) RA_INLINED {
      const auto score = hn::Mul(hn::ConvertTo(DF(), acc[i][j]), scales);
      hn::StoreU(score, DF(), c.scores + (r + i) * kTileKeys + (v + j) * kLanes);
    });
  });
}

// All query vectors from r on, in the largest register tiles that fit.
template <int kParts, int kVectors>
HWY_INLINE void Scores(const AttentionSlice& s, const Tile& tile, const Tile& later,
                       const Scratch& c, int r) {
  constexpr int kVecs = TileVecs(kVectors);
  const int num_vecs = (tile.num_key_vecs + kParts - 1) / kParts;
  for (; r + kVectors <= tile.num_vectors; r += kVectors) {
    int v = 0;
    for (; v + kVecs <= num_vecs; v += kVecs) {
      if (r == 0) {
        ScoreKeys<kParts, true, kVectors, kVecs>(s, tile, later, c, r, v);
      } else {
        ScoreKeys<kParts, false, kVectors, kVecs>(s, tile, later, c, r, v);
      }
    }
    for (; v < num_vecs; ++v) ScoreKeys<kParts, false, kVectors, 1>(s, tile, later, c, r, v);
  }
  if constexpr (kVectors > 1) {
    if (r < tile.num_vectors) Scores<kParts, kVectors / 2>(s, tile, later, c, r);
  }
}

// Rounds a row of weights, times 1 / unit, into digits.
HWY_INLINE void StoreDigits(const float* row, float inverse, uint8_t* hi, uint8_t* lo) {
  const DF d;
  constexpr int kVecs = kTileKeys / kLanes;
  VecI whole[kVecs];
  Unroll<kVecs>([&](auto v) RA_INLINED {
    whole[v] = hn::NearestInt(hn::Mul(hn::Load(d, row + v * kLanes), hn::Set(d, inverse)));
  });
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  // Packing puts four keys of each of the four vectors side by side in every 128 bits; the
  // permutation puts the vectors one after another.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i ab = _mm512_packus_epi32(whole[0].raw, whole[1].raw);
  const __m512i cd = _mm512_packus_epi32(whole[2].raw, whole[3].raw);
  const __m512i low = _mm512_set1_epi16(127);
  const __m512i his = _mm512_packus_epi16(_mm512_srli_epi16(ab, 7), _mm512_srli_epi16(cd, 7));
  const __m512i los = _mm512_packus_epi16(_mm512_and_si512(ab, low), _mm512_and_si512(cd, low));
  _mm512_storeu_si512(hi, _mm512_permutexvar_epi32(order, his));
  _mm512_storeu_si512(lo, _mm512_permutexvar_epi32(order, los));
#else
  Unroll<kVecs>([&](auto v) RA_INLINED {
    StoreBytes(hn::ShiftRight<7>(whole[v]), hi + v * kLanes);
    StoreBytes(hn::And(whole[v], hn::Set(DI(), 127)), lo + v * kLanes);
  });
#endif
}

// Leaves weights in digits, their scale, and the tile's sum per vector; four rows at a time.
void Softmax(const Tile& tile, const Scratch& c) {
  const DF d;
  const TagF<4> d4;
  for (int r = 0; r < tile.num_vectors; r += 4) {
    VecF<kLanes> sums[4];
    VecF<kLanes> peaks[4];
    Unroll<4>([&](auto i) RA_INLINED {
      float* row = c.scores + (r + i) * kTileKeys;
      const auto shift = hn::Set(d, ShiftOf(c, r + i));
      sums[i] = hn::Zero(d);
      peaks[i] = hn::Zero(d);
      RA_UNROLL for (int v = 0; v < kTileKeys / kLanes; ++v) {
        const auto p = Exp2(d, hn::Sub(hn::Load(d, row + v * kLanes), shift));
        const auto w = hn::Mul(p, hn::Load(d, c.value_scales + v * kLanes));
        sums[i] = hn::Add(sums[i], p);
        peaks[i] = hn::Max(peaks[i], w);
        hn::Store(w, d, row + v * kLanes);
      }
    });
    ReduceRows(sums, SumOp(), c.tile_sum + r);
    HWY_ALIGN float largest[4];
    HWY_ALIGN float inverse[4];
    ReduceRows(peaks, MaxOp(), largest);
    const auto most = hn::Load(d4, largest);
    const auto weighs = hn::Gt(most, hn::Set(d4, kLeastWeight));
    hn::Store(hn::IfThenElseZero(weighs, hn::Div(hn::Set(d4, kWeightLevels), most)), d4, inverse);
    hn::StoreU(hn::IfThenElseZero(weighs, hn::Mul(most, hn::Set(d4, 1 / kWeightLevels))), d4,
               c.weight_scale + r);
    Unroll<4>([&](auto i) RA_INLINED {
      StoreDigits(c.scores + (r + i) * kTileKeys, inverse[i], HiWeights(c, r + i),
                  LoWeights(c, r + i));
    });
  }
}

// Rows that see a value whose scale is NaN become NaN.
void SpreadNaN(const AttentionSlice& s, uint64_t bad_values, const Tile& tile, const Scratch& c) {
  for (int r = 0; r < tile.num_vectors; ++r) {
    const Visible visible = VisibleTo(s, tile, r);
    for (int key = 0; key < tile.num_keys; ++key) {
      if ((bad_values >> key & 1) == 0 || key < visible.low || key > visible.high) continue;
      c.weight_scale[r] = __builtin_nanf("");
    }
  }
}

// The tiles whose keys and whose values the loops over a tile's values ask for.
struct Later {
  const Tile& keys;
  const Tile& values;
  int64_t stride;  // of keys: bytes between quads of d
};

// Output elements [at, at + kVecs * kLanes) of kVectors query vectors for one tile.
template <bool kAsks, int kVectors, int kVecs>
HWY_INLINE void WeighValues(const Tile& tile, const Later& later, const Scratch& c, int r,
                            int64_t at) {
  VecI acc[kVectors][kVecs];
  Unroll<kVectors * kVecs>([&](auto i) RA_INLINED { acc[i / kVecs][i % kVecs] = hn::Zero(DI()); });
  const auto sum_digits = [&](const uint8_t* digits, auto asks_keys) RA_INLINED {
    // As many as quads of d when all are through: one of two odd vectors of keys each time.
    int64_t request = at / (kVecs * kLanes) * (kTileKeys / 4) * (kVecs / 2);
    for (int g = 0; g < tile.num_segments; ++g) {
      const char* value = tile.segments[g].values + at * 4;
      const bool has_later = g < later.values.num_segments;
      const char* ahead = has_later ? later.values.segments[g].values + at * 4 : value;
      for (int u = 0; u < tile.segments[g].num_units; ++u, digits += 4) {
        VecBytes values[kVecs];
        Unroll<kVecs>([&](auto v) RA_INLINED {
          values[v] = hn::LoadU(DU(), reinterpret_cast<const uint32_t*>(value) + v * kLanes);
          if constexpr (kAsks && !decltype(asks_keys)::value) {
            __builtin_prefetch(ahead + v * kLanes * 4);
          } else if constexpr (kAsks && v % 2 == 0) {
            const int64_t n = request + v / 2;
            __builtin_prefetch(later.keys.keys[2 * (n & 1) + 1] + (n >> 1) * later.stride);
          }
        });
        Unroll<kVectors>([&](auto i) RA_INLINED {
          const auto weight = SplatFour(digits + 2 * i * kTileKeys);
          Unroll<kVecs>([&](auto v) RA_INLINED { AddDot(acc[i][v], weight, values[v]); });
        });
        value += c.width * 4;
        ahead += c.width * 4;
        request += kVecs / 2;
      }
    }
  };
  sum_digits(HiWeights(c, r), Asks<true>());
  Unroll<kVectors * kVecs>([&](auto i) RA_INLINED {
    acc[i / kVecs][i % kVecs] = hn::ShiftLeft<7>(acc[i / kVecs][i % kVecs]);
  });
  sum_digits(LoWeights(c, r), Asks<false>());
  Unroll<kVectors>([&](auto i) RA_INLINED {
    const auto scale = hn::Set(DF(), c.weight_scale[r + i]);
    Unroll<kVecs>([&](auto v) RA_INLINED {
      const auto out = hn::Mul(hn::ConvertTo(DF(), acc[i][v]), scale);
      hn::StoreU(out, DF(), c.tile_out + (r + i) * c.width + at + v * kLanes);
    });
  });
}

template <int kVectors>
HWY_INLINE void Weighted(const Tile& tile, const Later& later, const Scratch& c, int r) {
  constexpr int kVecs = TileVecs(kVectors);
  for (; r + kVectors <= tile.num_vectors; r += kVectors) {
    int64_t at = 0;
    for (; at + kVecs * kLanes <= c.width; at += kVecs * kLanes) {
      if (r == 0) {
        WeighValues<true, kVectors, kVecs>(tile, later, c, r, at);
      } else {
        WeighValues<false, kVectors, kVecs>(tile, later, c, r, at);
      }
    }
    for (; at < c.width; at += kLanes) WeighValues<false, kVectors, 1>(tile, later, c, r, at);
  }
  if constexpr (kVectors > 1) {
    if (r < tile.num_vectors) Weighted<kVectors / 2>(tile, later, c, r);
  }
}

// Finds tile t and asks for its scales; pointers without keys point to some of its own.
template <int kParts>
void LocateAhead(const AttentionSlice& s, int64_t t, Tile& tile) {
  Locate<Int8>(s, t, kLanes / kParts, tile);
  for (int v = tile.num_key_vecs; v < kTileKeys / kLanes * kParts; ++v) tile.keys[v] = tile.keys[0];
  for (int g = 0; g < tile.num_segments; ++g) {
    __builtin_prefetch(tile.segments[g].key_scales);
    __builtin_prefetch(tile.segments[g].value_scales);
  }
}

// The scores of the next tile are on their way while a tile's softmax goes through its long chain
// of maximum, powers, sums and division.
template <int kParts>
void AttendTiles(const AttentionSlice& s) {
  const Scratch c = Cut(s);
  const int num_vectors = s.vector_end - s.vector_begin;
  LoadQueries(s, c);
  Start(c, num_vectors);
  Tile tiles[kTilesHeld];
  const int64_t stride = int64_t{KeyGroup(s.block_size)} * 4;
  const auto held = [&](int64_t t) -> Tile& {
    return tiles[(t < s.tile_end ? t : s.tile_end - 1) % kTilesHeld];
  };
  for (int64_t t = s.tile_begin; t < s.tile_begin + kTilesAhead && t < s.tile_end; ++t) {
    LocateAhead<kParts>(s, t, held(t));
  }
  const auto score = [&](int64_t t) {
    if (t + kTilesAhead < s.tile_end)
      LocateAhead<kParts>(s, t + kTilesAhead, held(t + kTilesAhead));
    const uint64_t bad_values = LoadScales<kParts>(held(t), c);
    Scores<kParts, kMaxVectors>(s, held(t), held(t + kTilesAhead), c, 0);
    return bad_values;
  };
  uint64_t bad_values = score(s.tile_begin);
  for (int64_t t = s.tile_begin; t < s.tile_end; ++t) {
    MaskScores(s, held(t), c);
    Softmax(held(t), c);
    if (bad_values != 0) SpreadNaN(s, bad_values, held(t), c);
    if (t + 1 < s.tile_end) bad_values = score(t + 1);
    const Later later{held(t + 1 + kTilesAhead), held(t + kTilesAhead), stride};
    Weighted<kMaxVectors>(held(t), later, c, 0);
    if (s.partials == nullptr) {
      Fold(c, num_vectors, s.head_dim);
    } else {
      KeepPartial(s, c, t, num_vectors);
    }
  }
  if (s.partials == nullptr) Finish(s, c);
}

}  // namespace

void AttentionInt8(const AttentionSlice& slice) {
  if (KeyGroup(slice.block_size) >= kLanes) {
    AttendTiles<1>(slice);
  } else {
    AttendTiles<(kLanes > 8 ? 2 : 1)>(slice);
  }
}

}  // namespace runahead::cpu::RA_ISA
