// y = x W^T + b for INT4 and INT8 weights in packed panels and activations quantized to INT8.
//
//   INT4: y = b + sum over groups g of  xs[g] ws[g] (sum over k in g of (code - zero) x)
//   INT8: y = b +                       xs    ws    (sum over k of code x)
//
// The inner sums are int32, exact in any order; the outer ones F32 in ascending g, the same for any
// number of rows.
//
// Roofline: N K / 2 (N K) weight bytes and a scale a group are read once per step; 2 T N K
// operations (docs/kernels/linear.md has the measured shares).
//
// A tile is kPairs pairs of vectors of outputs x kRows rows of x, its int32 sums in registers, its
// F32 sums in a small array that stays in the first-level cache:
//
//                x row 0   x row 1  ...      each step of 4 k: load kPairs pairs of weights (one
//   outputs    | sum 0,0 | sum 0,1 | ...     load and two ANDs a pair in INT4), broadcast 4 bytes
//   (lanes)    | sum 1,0 | sum 1,1 | ...     of x per row, 2 kPairs kRows dot products of four
#include "kernels/cpu/isa/dot-inl.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

// Rows of x in one tile: as many as the registers hold beside the weights (24 sums, 2 weights, 1 x,
// 2 masks of 32 registers); fewer where a block has sums of its own. Sanitizers would take minutes
// to compile large ones, and find in small ones what there is to find.
#if defined(RA_SMALL_TILES)
constexpr int kMaxRows = 3;
#elif HWY_MAX_BYTES == 64
constexpr int kMaxRows = kHasDot ? 12 : 6;
#elif HWY_ARCH_X86
constexpr int kMaxRows = 4;
#else
constexpr int kMaxRows = 8;
#endif
constexpr int kSumRegisters = HWY_MAX_BYTES == 64 || !HWY_ARCH_X86 ? 16 : 8;

constexpr int kPairsPerPanel = kPanelRows / 2 / kLanes;
constexpr int kPartnerAt = kPanelRows / 2;  // outputs between the vectors of a pair

// Pairs in a tile of `rows` rows: of few rows more, so that a panel is read in one go.
constexpr int NumPairs(int rows) {
  int pairs = kPairsPerPanel;
  while (pairs > 1 && 2 * pairs * rows > kSumRegisters) pairs /= 2;
  return pairs;
}

// Sums that take turns, where one chain of dot products would wait for its own results.
constexpr int NumChains(int rows) {
  return kHasDot && 2 * 2 * NumPairs(rows) * rows <= kSumRegisters ? 2 : 1;
}

// Rows of x a tile reads at the same k. A base for every three keeps the addresses in registers.
template <int kRows>
struct RowPointers {
  HWY_INLINE RowPointers(const void* first, int64_t row_stride) : stride(row_stride) {
    Unroll<kBases>([&](auto i) RA_INLINED {
      base[i] = static_cast<const uint8_t*>(first) + 3 * i * row_stride;
    });
  }
  HWY_INLINE const uint8_t* at(int r) const { return base[r / 3] + r % 3 * stride; }
  HWY_INLINE void Advance(int64_t bytes) {
    Unroll<kBases>([&](auto i) RA_INLINED { base[i] += bytes; });
  }

  static constexpr int kBases = (kRows + 2) / 3;
  const uint8_t* base[kBases];
  int64_t stride;
};

// Asks memory for what comes later, or the cores would wait: a step's own stream, a distance ahead
// (one tile over the panel), or a part of the next panel in each pass (several tiles).
struct Ahead {
  const char* at = nullptr;
  int64_t per_step = 0;
  int64_t per_header = 0;
};

// Distances found best on two Zen 5 cores (docs/kernels/linear.md): with more rows a step takes
// more instructions, so the core's own window reaches less far ahead. 4 KiB instead of 12 cost 4 to
// 6 rows a fifth of their speed.
inline int64_t PrefetchDistance(int rows, int64_t most) {
  const int64_t best = rows <= 1 ? 4096 : rows <= 3 ? 8192 : rows <= 8 ? 12288 : 16384;
  return best < most ? best : most;
}

// Tiles over a panel that share out asking for the next.
constexpr int64_t kFewPasses = 4;

// Bytes of x that several tiles go over with a run of panels before the next rows: with the panels
// they stay in the second-level cache.
constexpr int64_t kChunkBytes = 256 * 1024;

HWY_INLINE int32_t LoadI32(const void* from) {
  int32_t value = 0;
  __builtin_memcpy(&value, from, 4);
  return value;
}

HWY_INLINE VecBytes BroadcastQuad(const void* x) {
  return hn::BitCast(DU(), hn::Set(DI(), LoadI32(x)));
}

template <int kRows, int kPairs>
struct TileSums {
  static constexpr int kVecs = 2 * kPairs;
  static constexpr int kChains = NumChains(kRows);

  VecI of[kChains][kRows][kVecs];

  HWY_INLINE void Clear() {
    Unroll<kChains * kRows * kVecs>([&](auto i) RA_INLINED {
      of[i / (kRows * kVecs)][i / kVecs % kRows][i % kVecs] = hn::Zero(DI());
    });
  }
  HWY_INLINE VecI Total(int r, int v) const {
    if constexpr (kChains == 1) return of[0][r][v];
    return hn::Add(of[0][r][v], of[kChains - 1][r][v]);
  }
};

// Vector v of a tile holds kLanes outputs from this one of the tile's first on.
HWY_INLINE constexpr int OutputOf(int v) { return v / 2 * kLanes + v % 2 * kPartnerAt; }

// One step: four k, `step` steps after where w and x stand.
template <class Weights, int kRows, int kPairs>
HWY_INLINE void AddStep(VecI (&sums)[kRows][2 * kPairs], const uint8_t* w,
                        const RowPointers<kRows>& x, int step, Ahead& ahead) {
  __builtin_prefetch(ahead.at);
  if constexpr (Weights::kStepBytes > 64) __builtin_prefetch(ahead.at + 64);
  ahead.at += ahead.per_step;
  VecBytes weights[2 * kPairs];
  Unroll<kPairs>([&](auto p) RA_INLINED {
    Weights::Load(w + step * Weights::kStepBytes + p * kLanes * 4, weights[2 * p],
                  weights[2 * p + 1]);
  });
  Unroll<kRows>([&](auto r) RA_INLINED {
    const VecBytes quad = BroadcastQuad(x.at(r) + 4 * step);
    Unroll<2 * kPairs>([&](auto v)
                           RA_INLINED { sums[r][v] = Weights::Add(sums[r][v], weights[v], quad); });
  });
}

// Adds blocks of kBlockSteps steps; moves w, x and ahead past them.
template <class Weights, int kRows, int kPairs>
HWY_INLINE void AddBlocks(TileSums<kRows, kPairs>& sums, int64_t num_blocks, const uint8_t*& w,
                          RowPointers<kRows>& x, Ahead& ahead) {
  constexpr int kVecs = 2 * kPairs;
  if constexpr (Weights::kHasBlockSums) {
    for (int64_t block = 0; block < num_blocks; ++block) {
      VecI part[kRows][kVecs];
      Unroll<kRows * kVecs>([&](auto i)
                                RA_INLINED { part[i / kVecs][i % kVecs] = hn::Zero(DI()); });
      // Few steps at once: more want more registers than there are.
      constexpr int kUnroll = 2;
      for (int step = 0; step < kBlockSteps; step += kUnroll) {
        Unroll<kUnroll>([&](auto u)
                            RA_INLINED { AddStep<Weights, kRows, kPairs>(part, w, x, u, ahead); });
        w += kUnroll * Weights::kStepBytes;
        x.Advance(4 * kUnroll);
      }
      Unroll<kRows * kVecs>([&](auto i) RA_INLINED {
        VecI& to = sums.of[0][i / kVecs][i % kVecs];
        to = Weights::AddBlockSums(to, part[i / kVecs][i % kVecs]);
      });
    }
  } else {
    // With more rows a step is long enough, and more steps at once want more registers.
    constexpr int kUnroll = 4;
    for (int64_t step = 0; step < num_blocks * kBlockSteps; step += kUnroll) {
      Unroll<kUnroll>([&](auto u) RA_INLINED {
        AddStep<Weights, kRows, kPairs>(sums.of[u % TileSums<kRows, kPairs>::kChains], w, x, u,
                                        ahead);
      });
      w += kUnroll * Weights::kStepBytes;
      x.Advance(4 * kUnroll);
    }
  }
}

// kLanes scales of a panel's header, from output `first` on.
HWY_INLINE VecF<kLanes> LoadScales(const uint8_t* header, ScaleType type, int first) {
  const DF d;
  if (type == ScaleType::kF32) return hn::LoadU(d, reinterpret_cast<const float*>(header) + first);
  const hn::Rebind<uint16_t, DF> d16;
  const auto half = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(header) + first);
  if (type == ScaleType::kBF16) {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(DU(), half)));
  }
  const hn::Rebind<hwy::float16_t, DF> df16;
  return hn::PromoteTo(d, hn::BitCast(df16, half));
}

// The sums' start: minus the weights' zero points times the sum of x, so that what is summed can be
// the codes themselves.
template <int kRows, int kPairs>
HWY_INLINE void StartGroup(TileSums<kRows, kPairs>& sums, const uint8_t* zero_points, int lane,
                           const RowPointers<kRows>& x_sums) {
  const DI d;
  sums.Clear();
  if (zero_points == nullptr) {
    Unroll<kRows>([&](auto r) RA_INLINED {
      const auto start = hn::Neg(hn::ShiftLeft<3>(hn::Set(d, LoadI32(x_sums.at(r)))));
      const auto high = Int4Weights::kHighTimes16 ? hn::ShiftLeft<4>(start) : start;
      Unroll<2 * kPairs>([&](auto v) RA_INLINED { sums.of[0][r][v] = v % 2 == 0 ? start : high; });
    });
    return;
  }
  const hn::Rebind<uint8_t, DI> d8;
  Unroll<2 * kPairs>([&](auto v) RA_INLINED {
    const auto zero = hn::PromoteTo(d, hn::LoadU(d8, zero_points + lane + OutputOf(v)));
    const bool is_high = v % 2 == 1 && Int4Weights::kHighTimes16;
    const auto minus = hn::Neg(is_high ? hn::ShiftLeft<4>(zero) : zero);
    Unroll<kRows>([&](auto r) RA_INLINED {
      sums.of[0][r][v] = hn::Mul(minus, hn::Set(d, LoadI32(x_sums.at(r))));
    });
  });
}

// out += sums x scales of weights and x.
template <int kRows, int kPairs>
HWY_INLINE void EndGroup(const TileSums<kRows, kPairs>& sums, const uint8_t* header, ScaleType type,
                         int lane, const RowPointers<kRows>& x_scales, float* out) {
  const DF d;
  Unroll<2 * kPairs>([&](auto v) RA_INLINED {
    auto scale = LoadScales(header, type, lane + OutputOf(v));
    if (v % 2 == 1 && Int4Weights::kHighTimes16) scale = hn::Mul(scale, hn::Set(d, 0x1p-4f));
    Unroll<kRows>([&](auto r) RA_INLINED {
      float* to = out + r * kPanelRows + OutputOf(v);
      const auto x_scale = hn::BitCast(d, hn::Set(DI(), LoadI32(x_scales.at(r))));
      const auto product = hn::Mul(hn::ConvertTo(d, sums.Total(r, v)), scale);
      hn::StoreU(hn::MulAdd(product, x_scale, hn::LoadU(d, to)), d, to);
    });
  });
}

// Outputs lane.. of the panel `w` (pairs of vectors) for rows [row, row + kRows); out is their
// first, [kRows][kPanelRows].
template <int kRows, int kPairs>
HWY_NOINLINE void Tile(Int4Weights /*format*/, const QuantizedLinearSlice& s, const uint8_t* w,
                       Ahead ahead, int64_t row, int lane, float* out) {
  const auto* first = static_cast<const uint8_t*>(s.x) + row * s.x_stride;
  RowPointers<kRows> x(first, s.x_stride);
  RowPointers<kRows> x_scales(first + s.x_scales_at, s.x_stride);
  RowPointers<kRows> x_sums(first + s.x_sums_at, s.x_stride);
  Unroll<kRows * 2 * kPairs>([&](auto i) RA_INLINED {
    float* to = out + i / (2 * kPairs) * kPanelRows + OutputOf(i % (2 * kPairs));
    hn::StoreU(hn::Zero(DF()), DF(), to);
  });
  const int64_t scale_bytes = kPanelRows * (s.scale_type == ScaleType::kF32 ? 4 : 2);
  TileSums<kRows, kPairs> sums;
  for (int64_t left = s.k; left > 0; left -= s.group) {
    const uint8_t* zero_points = s.has_zero_points ? w + scale_bytes : nullptr;
    __builtin_prefetch(ahead.at);
    ahead.at += ahead.per_header;
    StartGroup(sums, zero_points, lane, x_sums);
    const uint8_t* steps = w + s.panel_header_bytes + lane * 4;
    const int64_t count = left < s.group ? left : s.group;
    AddBlocks<Int4Weights>(sums, (count + kBlockK - 1) / kBlockK, steps, x, ahead);
    EndGroup(sums, w, s.scale_type, lane, x_scales, out);
    w = steps - lane * 4;
    x_scales.Advance(4);
    x_sums.Advance(4);
  }
}

template <int kRows, int kPairs>
HWY_NOINLINE void Tile(Int8Weights /*format*/, const QuantizedLinearSlice& s, const uint8_t* w,
                       Ahead ahead, int64_t row, int lane, float* out) {
  const DF d;
  const auto* first = static_cast<const uint8_t*>(s.x) + row * s.x_stride;
  RowPointers<kRows> x(first, s.x_stride);
  const uint8_t* x_scales = first + s.x_scales_at;
  constexpr int kVecs = 2 * kPairs;
  TileSums<kRows, kPairs> sums;
  sums.Clear();
#if RA_DOT_UNSIGNED
  const RowPointers<kRows> x_sums(first + s.x_sums_at, s.x_stride);
  Unroll<kRows>([&](auto r) RA_INLINED {
    const auto start = hn::Neg(hn::ShiftLeft<7>(hn::Set(DI(), LoadI32(x_sums.at(r)))));
    Unroll<kVecs>([&](auto v) RA_INLINED { sums.of[0][r][v] = start; });
  });
#endif
  const uint8_t* steps = w + lane * 4;
  AddBlocks<Int8Weights>(sums, (s.k + kBlockK - 1) / kBlockK, steps, x, ahead);
  // By way of memory, or the compiler would keep sums there all the way.
  Unroll<kRows * kVecs>([&](auto i) RA_INLINED {
    const auto total = hn::BitCast(d, sums.Total(i / kVecs, i % kVecs));
    hn::StoreU(total, d, out + i / kVecs * kPanelRows + OutputOf(i % kVecs));
  });
  const auto* scales = reinterpret_cast<const float*>(steps - lane * 4) + lane;
  for (int r = 0; r < kRows; ++r) {
    const auto x_scale = hn::BitCast(d, hn::Set(DI(), LoadI32(x_scales + r * s.x_stride)));
    for (int v = 0; v < kVecs; ++v) {
      float* to = out + r * kPanelRows + OutputOf(v);
      const auto total = hn::ConvertTo(d, hn::BitCast(DI(), hn::LoadU(d, to)));
      const auto scale = hn::LoadU(d, scales + OutputOf(v));
      hn::StoreU(hn::Mul(hn::Mul(total, scale), x_scale), d, to);
    }
  }
}

// One row's outputs [n, n + 32) of y, as far as there are so many.
HWY_INLINE void StoreOutputs(const QuantizedLinearSlice& s, const float* from, int64_t row,
                             int64_t n) {
  const DF d;
  for (int64_t i = 0; i < kPanelRows; i += kLanes) {
    const int64_t first = n + i;
    const int64_t at = row * s.y_stride + first;
    const auto value = hn::Add(hn::Load(d, from + i), hn::LoadU(d, s.bias + first));
    if (first + kLanes <= s.n) {
      StoreRow(d, value, s.y, s.y_is_bf16, at);
      continue;
    }
    HWY_ALIGN float rest[kLanes];
    hn::Store(value, d, rest);
    for (int64_t j = 0; j < kLanes && first + j < s.n; ++j) {
      if (s.y_is_bf16) {
        static_cast<uint16_t*>(s.y)[at + j] = RoundToBf16(rest[j]);
      } else {
        static_cast<float*>(s.y)[at + j] = rest[j];
      }
    }
  }
}

// All outputs of a panel for kRows rows.
template <class Weights, int kRows>
void PanelRows(const QuantizedLinearSlice& s, const uint8_t* panel, Ahead ahead, int64_t row,
               int64_t n) {
  constexpr int kPairs = NumPairs(kRows);
  HWY_ALIGN float out[kRows * kPanelRows];
  // Each row of y is lines of its own, which come from memory to be written: asked for now, they
  // are there when the sums are.
  const int64_t y_bytes = s.y_is_bf16 ? 2 : 4;
  for (int r = 0; r < kRows; ++r) {
    const char* y = static_cast<const char*>(s.y) + ((row + r) * s.y_stride + n) * y_bytes;
    __builtin_prefetch(y, 1);
    __builtin_prefetch(y + 64, 1);
  }
  for (int lane = 0; lane < kPartnerAt; lane += kPairs * kLanes) {
    Tile<kRows, kPairs>(Weights(), s, panel, ahead, row, lane, out + lane);
  }
  for (int r = 0; r < kRows; ++r) StoreOutputs(s, out + r * kPanelRows, row + r, n);
}

template <class Weights, int kRows>
HWY_INLINE void DispatchRows(int rows, const QuantizedLinearSlice& s, const uint8_t* panel,
                             const Ahead& ahead, int64_t row, int64_t n) {
  if (rows == kRows) {
    PanelRows<Weights, kRows>(s, panel, ahead, row, n);
  } else if constexpr (kRows > 1) {
    DispatchRows<Weights, kRows - 1>(rows, s, panel, ahead, row, n);
  }
}

// What the `pass`-th of `passes` tiles over a panel asks for: alone, the panel itself, a distance
// ahead; one of few, its part of the next panel; one of many, the rows of the next tile, which come
// from the third-level cache, and the last of them the next panel.
template <class Weights>
HWY_INLINE Ahead AheadOf(const QuantizedLinearSlice& s, const uint8_t* panel, int rows,
                         int64_t next_row, int64_t pass, int64_t passes) {
  const auto* at = reinterpret_cast<const char*>(panel);
  if (passes == 1) {
    return {at + PrefetchDistance(rows, s.max_ahead), Weights::kStepBytes, s.panel_header_bytes};
  }
  const int64_t num_steps = (s.k + kBlockK - 1) / kBlockK * kBlockSteps;
  const auto per_step = [&](int64_t bytes) { return (bytes + num_steps - 1) / num_steps; };
  if (passes <= kFewPasses) {
    return {at + s.panel_bytes + s.panel_bytes * pass / passes, per_step(s.panel_bytes / passes),
            0};
  }
  if (pass + 1 == passes) return {at + s.panel_bytes, per_step(s.panel_bytes), 0};
  const auto* x = static_cast<const char*>(s.x) + (s.row_begin + next_row) * s.x_stride;
  return {x, per_step(rows * s.x_stride), 0};
}

// Tiles [tile_begin, tile_end) of num_tiles even ones (13 rows are 7 + 6, never 12 + 1) over one
// panel.
template <class Weights>
void PanelTiles(const QuantizedLinearSlice& s, int64_t p, int64_t num_tiles, int64_t tile_begin,
                int64_t tile_end) {
  const auto* panel = static_cast<const uint8_t*>(s.weights) + p * s.panel_bytes;
  const int64_t num_rows = s.row_end - s.row_begin;
  const int64_t passes = tile_end - tile_begin;
  for (int64_t t = tile_begin; t < tile_end; ++t) {
    const int64_t first = num_rows * t / num_tiles;
    const auto rows = static_cast<int>(num_rows * (t + 1) / num_tiles - first);
    const Ahead ahead = AheadOf<Weights>(s, panel, rows, first + rows, t - tile_begin, passes);
    DispatchRows<Weights, kMaxRows>(rows, s, panel, ahead, s.row_begin + first, p * kPanelRows);
  }
}

template <class Weights>
void Linear(const QuantizedLinearSlice& s) {
  const int64_t num_tiles = (s.row_end - s.row_begin + kMaxRows - 1) / kMaxRows;
  int64_t chunk = kChunkBytes / (kMaxRows * s.x_stride);
  if (chunk < 1) chunk = 1;
  for (int64_t begin = 0; begin < num_tiles; begin += chunk) {
    const int64_t end = begin + chunk < num_tiles ? begin + chunk : num_tiles;
    for (int64_t p = s.panel_begin; p < s.panel_end; ++p) {
      PanelTiles<Weights>(s, p, num_tiles, begin, end);
    }
  }
}

}  // namespace

void LinearInt4(const QuantizedLinearSlice& slice) { Linear<Int4Weights>(slice); }
void LinearInt8(const QuantizedLinearSlice& slice) { Linear<Int8Weights>(slice); }

}  // namespace runahead::cpu::RA_ISA
