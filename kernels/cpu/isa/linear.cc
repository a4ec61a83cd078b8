// y = x W^T + b over packed panels: one instruction sequence over k for each output, whatever the
// number of rows.
//
// Roofline: N K weight bytes are read once per step for up to kMaxRows rows; 2 T N K operations. A
// step of few rows is bound by memory, prefill by the dot products (docs/kernels/linear.md has the
// measured shares).
//
// A tile is kVecs vectors of outputs x kRows rows of x, all in registers:
//
//              x row 0   x row 1  ...           each k (f32) or pair of k (bf16): load kVecs weight
//              vectors,
//   outputs  | acc 0,0 | acc 0,1 | ...          broadcast one x element per row, kVecs * kRows
//   multiply-adds; (lanes)  | acc 1,0 | acc 1,1 | ...          accumulators leave the registers
//   once, after the last k
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

// Rows of x in one tile: as many as the registers hold beside the weights (24 sums, 4 weights at
// most, 1 x of 32 registers).
#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2
constexpr int kMaxRows = 4;
#elif HWY_ARCH_X86
constexpr int kMaxRows = 12;
#else
constexpr int kMaxRows = 8;
#endif

// Where AVX-512 multiplies pairs of bf16 as two f32 each, tiles of so many rows first spread x into
// f32: a row's two instructions a pair would be a third of all. (In AVX2 they run beside the
// multiply-adds, and spreading brings nothing.)
#if HWY_MAX_BYTES == 64 && !defined(__AVX512BF16__)
constexpr int kLeastSpreadRows = 3;
#else
constexpr int kLeastSpreadRows = kMaxRows + 1;
#endif
// Pairs spread at a time: with 12 rows 6 KiB, which stay in the first-level cache.
constexpr int kSpreadPairs = 64;

// Vectors of outputs in a tile of `rows` rows: as many as the registers allow, at most one panel.
constexpr int NumVecs(int rows) {
  const int panel = kPanelRows / kLanes;
  const int wanted = rows <= 1 ? 8 : rows <= 2 ? 4 : 2;
  return wanted < panel ? wanted : panel;
}

// bf16 weights and x: a lane holds the pair (k, k + 1).
struct Bf16Pairs {
  static constexpr int kPerLane = 2;
  using Element = uint16_t;
  using Vec = VecU<kLanes>;
  static HWY_INLINE Vec LoadW(const void* w) {
    return hn::Load(DU(), static_cast<const uint32_t*>(w));
  }
  static HWY_INLINE Vec LoadX(const Element* x) {
    uint32_t pair = 0;
    __builtin_memcpy(&pair, x, 4);
    return hn::Set(DU(), pair);
  }
  // The last k of an odd K: its partner in W is zero, and x has none.
  static HWY_INLINE Vec LoadLastX(const Element* x) { return hn::Set(DU(), uint32_t{*x}); }
  static HWY_INLINE VecF<kLanes> Mac(VecF<kLanes> acc, Vec w, Vec x) {
    return DotPair(DF(), acc, w, x);
  }
  static constexpr bool IsSpread(int rows) { return rows >= kLeastSpreadRows; }
};

struct F32 {
  static constexpr int kPerLane = 1;
  using Element = float;
  using Vec = VecF<kLanes>;
  static HWY_INLINE Vec LoadW(const void* w) {
    return hn::Load(DF(), static_cast<const float*>(w));
  }
  static HWY_INLINE Vec LoadX(const Element* x) { return hn::Set(DF(), *x); }
  static HWY_INLINE Vec LoadLastX(const Element* x) { return hn::Set(DF(), *x); }
  static HWY_INLINE VecF<kLanes> Mac(VecF<kLanes> acc, Vec w, Vec x) {
    return hn::MulAdd(w, x, acc);
  }
  static constexpr bool IsSpread(int /*rows*/) { return false; }
};

constexpr int kStepBytes = kPanelRows * 4;  // one k or pair of k of a panel

// Up to so many row tiles a panel is worked off in blocks of k: all tiles go over one block, which
// stays in the second-level cache together with the next, before any goes on. (A whole panel of K =
// 8192 is 512 KiB; two of them are the cache.)
constexpr int kMaxBlockedTiles = 4;
constexpr int64_t kBlockSteps = 1024;  // 128 KiB

// Asks memory for what comes later, or the cores would wait: a step's own stream, a distance ahead
// (one pass over the panel), or the next block, a part in each pass (several passes), so that
// memory and multipliers are busy together.
struct Ahead {
  const char* at = nullptr;
  int64_t bytes_per_step = 0;
};

// What one pass of a tile covers of the sum over k. Sums that are not finished leave the registers
// unrounded, so that where the blocks end is not to be seen in the result.
struct Part {
  int64_t begin = 0;
  int64_t end = 0;
  float* sums = nullptr;  // [rows, kPanelRows] of this tile; null where the part is all of k
};

// Distances found best on two Zen 5 cores (docs/kernels/linear.md): with more rows a step takes
// more instructions, so the core's own window reaches less far ahead.
inline int64_t PrefetchDistance(int rows, int64_t most) {
  const int64_t best = rows <= 1 ? 2048 : rows <= 5 ? 4096 : rows <= 8 ? 8192 : 16384;
  return best < most ? best : most;
}

template <int kVecs, int kRows>
HWY_INLINE void StoreTile(const VecF<kLanes> (&acc)[kRows][kVecs], const LinearSlice& s,
                          int64_t row, int64_t n) {
  const DF d;
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    RA_UNROLL for (int v = 0; v < kVecs; ++v) {
      const int64_t first = n + v * kLanes;
      auto value = acc[r][v];
      if (s.bias != nullptr) value = hn::Add(value, hn::Load(d, s.bias + first));
      const int64_t at = (row + r) * s.y_stride + first;
      if (first + kLanes <= s.n) {
        StoreRow(d, value, s.y, s.y_is_bf16, at);
        continue;
      }
      HWY_ALIGN float rest[kLanes];
      hn::Store(value, d, rest);
      for (int64_t i = 0; i < kLanes && first + i < s.n; ++i) {
        if (s.y_is_bf16) {
          static_cast<uint16_t*>(s.y)[at + i] = RoundToBf16(rest[i]);
        } else {
          static_cast<float*>(s.y)[at + i] = rest[i];
        }
      }
    }
  }
}

template <int kVecs, int kRows>
HWY_INLINE void LoadSums(VecF<kLanes> (&acc)[kRows][kVecs], const Part& part) {
  const DF d;
  if (part.begin == 0) {
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      RA_UNROLL for (int v = 0; v < kVecs; ++v) acc[r][v] = hn::Zero(d);
    }
    return;
  }
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    const float* sums = part.sums + r * kPanelRows;
    RA_UNROLL for (int v = 0; v < kVecs; ++v) acc[r][v] = hn::Load(d, sums + v * kLanes);
  }
}

template <int kVecs, int kRows>
HWY_INLINE void StoreSums(const VecF<kLanes> (&acc)[kRows][kVecs], const Part& part) {
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    float* sums = part.sums + r * kPanelRows;
    RA_UNROLL for (int v = 0; v < kVecs; ++v) hn::Store(acc[r][v], DF(), sums + v * kLanes);
  }
}

// [kSpreadPairs / kLanes][2][kLanes] f32 of one row: the even ones of so many pairs, then the odd.
using SpreadRow = float[2 * kSpreadPairs];

// The first num_elements of x as f32; an odd number ends in half a pair, and beyond it are zeros to
// a whole vector.
HWY_INLINE void Spread(const uint16_t* x, int64_t num_elements, SpreadRow& to) {
  const DU du;
  const auto high = hn::Set(du, 0xFFFF0000u);
  const auto store = [&](VecU<kLanes> pairs, int64_t at) HWY_ATTR {
    hn::Store(hn::BitCast(DF(), hn::ShiftLeft<16>(pairs)), DF(), to + at);
    hn::Store(hn::BitCast(DF(), hn::And(pairs, high)), DF(), to + at + kLanes);
  };
  constexpr int64_t kWhole = 2 * kLanes;
  int64_t i = 0;
  for (; i + kWhole <= num_elements; i += kWhole) {
    store(hn::BitCast(du, hn::LoadU(hn::Repartition<uint16_t, DU>(), x + i)), i);
  }
  if (i == num_elements) return;
  HWY_ALIGN uint16_t rest[kWhole] = {};
  for (int64_t j = 0; i + j < num_elements; ++j) rest[j] = x[i + j];
  store(hn::BitCast(du, hn::Load(hn::Repartition<uint16_t, DU>(), rest)), i);
}

// One pair: DotPair's multiply-adds in its order, of x spread.
template <int kRows, int kVecs>
HWY_INLINE void AddSpreadPair(VecF<kLanes> (&acc)[kRows][kVecs], const char* w,
                              const SpreadRow (&x)[kRows], int64_t at) {
  const DF d;
  const DU du;
  const auto high = hn::Set(du, 0xFFFF0000u);
  VecF<kLanes> even[kVecs];
  VecF<kLanes> odd[kVecs];
  RA_UNROLL for (int v = 0; v < kVecs; ++v) {
    const auto weights = Bf16Pairs::LoadW(w + v * kLanes * 4);
    even[v] = hn::BitCast(d, hn::ShiftLeft<16>(weights));
    odd[v] = hn::BitCast(d, hn::And(weights, high));
  }
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    const auto x_even = hn::Set(d, x[r][at]);
    RA_UNROLL for (int v = 0; v < kVecs; ++v) acc[r][v] = hn::MulAdd(even[v], x_even, acc[r][v]);
    const auto x_odd = hn::Set(d, x[r][at + kLanes]);
    RA_UNROLL for (int v = 0; v < kVecs; ++v) acc[r][v] = hn::MulAdd(odd[v], x_odd, acc[r][v]);
  }
}

// Adds a part's pairs, x spread a stretch at a time.
template <int kRows, int kVecs, bool kOnePass>
HWY_INLINE void AddSpread(VecF<kLanes> (&acc)[kRows][kVecs], const uint16_t* const (&x)[kRows],
                          const char* w, Ahead ahead, const Part& part) {
  HWY_ALIGN SpreadRow spread[kRows];
  for (int64_t k = part.begin; k < part.end; k += 2 * kSpreadPairs) {
    const int64_t left = part.end - k;
    const int64_t count = left < 2 * kSpreadPairs ? left : 2 * kSpreadPairs;
    for (int r = 0; r < kRows; ++r) Spread(x[r] + k, count, spread[r]);
    const int64_t num_pairs = (count + 1) / 2;
    for (int64_t first = 0; first < num_pairs; first += kLanes) {
      const int64_t end = num_pairs - first < kLanes ? num_pairs - first : kLanes;
      for (int64_t i = 0; i < end; ++i) {
        __builtin_prefetch(ahead.at);
        if constexpr (kOnePass) __builtin_prefetch(ahead.at + 64);
        ahead.at += ahead.bytes_per_step;
        AddSpreadPair<kRows, kVecs>(acc, w, spread, 2 * first + i);
        w += kStepBytes;
      }
    }
  }
}

// Outputs [n, n + kVecs * kLanes) of rows [row, row + kRows). `w` is their first vector at the
// part's first k.
template <class Format, int kRows, int kVecs, bool kOnePass>
HWY_NOINLINE void Tile(const LinearSlice& s, const char* w, Ahead ahead, const Part& part,
                       int64_t row, int64_t n) {
  using Element = typename Format::Element;
  VecF<kLanes> acc[kRows][kVecs];
  LoadSums<kVecs, kRows>(acc, part);
  const Element* x[kRows];
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    x[r] = static_cast<const Element*>(s.x) + (row + r) * s.x_stride;
  }
  if constexpr (Format::IsSpread(kRows)) {
    AddSpread<kRows, kVecs, kOnePass>(acc, x, w, ahead, part);
    if (part.end < s.k) {
      StoreSums<kVecs, kRows>(acc, part);
    } else {
      StoreTile<kVecs, kRows>(acc, s, row, n);
    }
    return;
  }
  const auto step = [&](auto load_x, int64_t k) HWY_ATTR {
    typename Format::Vec weights[kVecs];
    RA_UNROLL for (int v = 0; v < kVecs; ++v) weights[v] = Format::LoadW(w + v * kLanes * 4);
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      const auto value = load_x(x[r] + k);
      RA_UNROLL for (int v = 0; v < kVecs; ++v) {
        acc[r][v] = Format::Mac(acc[r][v], weights[v], value);
      }
    }
  };
  int64_t k = part.begin;
  for (; k + Format::kPerLane <= part.end; k += Format::kPerLane) {
    __builtin_prefetch(ahead.at);
    if constexpr (kOnePass) __builtin_prefetch(ahead.at + 64);
    ahead.at += ahead.bytes_per_step;
    step([](const Element* p) HWY_ATTR { return Format::LoadX(p); }, k);
    w += kStepBytes;
  }
  if (part.end < s.k) {
    StoreSums<kVecs, kRows>(acc, part);
    return;
  }
  if (k < s.k) step([](const Element* p) HWY_ATTR { return Format::LoadLastX(p); }, k);
  StoreTile<kVecs, kRows>(acc, s, row, n);
}

// All outputs of a panel for kRows rows. `w` is the panel at the part's first k.
template <class Format, int kRows, bool kOnePass>
void PanelRows(const LinearSlice& s, const char* w, Ahead ahead, Part part, int64_t row,
               int64_t n) {
  constexpr int kVecs = NumVecs(kRows);
  for (int lane = 0; lane < kPanelRows; lane += kVecs * kLanes) {
    if (kOnePass) ahead.at = w + PrefetchDistance(kRows, s.max_ahead);
    Tile<Format, kRows, kVecs, kOnePass>(s, w + lane * 4, ahead, part, row, n + lane);
    if (part.sums != nullptr) part.sums += kVecs * kLanes;
  }
}

template <class Format, int kRows, bool kOnePass>
HWY_INLINE void DispatchRows(int rows, const LinearSlice& s, const char* w, Ahead ahead,
                             const Part& part, int64_t row, int64_t n) {
  // Even tiles of several passes are never below half the largest.
  constexpr int kLeast = kOnePass ? 1 : kMaxRows / 2;
  if (rows == kRows) {
    PanelRows<Format, kRows, kOnePass>(s, w, ahead, part, row, n);
  } else if constexpr (kRows > kLeast) {
    DispatchRows<Format, kRows - 1, kOnePass>(rows, s, w, ahead, part, row, n);
  }
}

// One panel for more rows than a tile has.
template <class Format>
void PanelInTiles(const LinearSlice& s, const char* panel, int64_t num_tiles, int64_t n) {
  HWY_ALIGN float sums[kMaxBlockedTiles * kMaxRows * kPanelRows];
  const bool is_blocked = num_tiles <= kMaxBlockedTiles;
  const int64_t num_rows = s.row_end - s.row_begin;
  const int64_t num_steps = (s.k + Format::kPerLane - 1) / Format::kPerLane;
  const int64_t block_steps = is_blocked ? kBlockSteps : num_steps;
  const int64_t ahead_step = (kStepBytes + num_tiles - 1) / num_tiles;
  for (int64_t step = 0; step < num_steps; step += block_steps) {
    const char* w = panel + step * kStepBytes;
    const int64_t end = (step + block_steps) * Format::kPerLane;
    Part part{step * Format::kPerLane, end < s.k ? end : s.k, sums};
    for (int64_t t = 0; t < num_tiles; ++t) {
      // Even tiles: 13 rows are 7 + 6, never 12 + 1.
      const int64_t first = num_rows * t / num_tiles;
      const int64_t last = num_rows * (t + 1) / num_tiles;
      const int64_t block_bytes = block_steps * kStepBytes;
      const Ahead ahead{w + block_bytes + block_bytes * t / num_tiles, ahead_step};
      if (is_blocked) part.sums = sums + first * kPanelRows;
      DispatchRows<Format, kMaxRows, false>(static_cast<int>(last - first), s, w, ahead, part,
                                            s.row_begin + first, n);
    }
  }
}

template <class Format>
void Linear(const LinearSlice& s) {
  const int64_t panel_bytes = (s.k + Format::kPerLane - 1) / Format::kPerLane * kStepBytes;
  const int64_t num_rows = s.row_end - s.row_begin;
  const int64_t num_tiles = (num_rows + kMaxRows - 1) / kMaxRows;
  for (int64_t p = s.panel_begin; p < s.panel_end; ++p) {
    const char* panel = static_cast<const char*>(s.weights) + p * panel_bytes;
    if (num_tiles == 1) {
      DispatchRows<Format, kMaxRows, true>(static_cast<int>(num_rows), s, panel,
                                           {panel, kStepBytes}, {0, s.k, nullptr}, s.row_begin,
                                           p * kPanelRows);
    } else {
      PanelInTiles<Format>(s, panel, num_tiles, p * kPanelRows);
    }
  }
}

}  // namespace

void LinearBf16(const LinearSlice& slice) { Linear<Bf16Pairs>(slice); }
void LinearF32(const LinearSlice& slice) { Linear<F32>(slice); }

}  // namespace runahead::cpu::RA_ISA
