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
// 2 masks of 32 registers); fewer where a block has sums of its own.
#if HWY_MAX_BYTES == 64
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
  RowPointers(const void* first, int64_t row_stride) : stride(row_stride) {
    for (int i = 0; i < kBases; ++i) {
      base[i] = static_cast<const uint8_t*>(first) + 3 * i * row_stride;
    }
  }
  HWY_INLINE const uint8_t* at(int r) const { return base[r / 3] + r % 3 * stride; }
  HWY_INLINE void Advance(int64_t bytes) {
    RA_UNROLL for (int i = 0; i < kBases; ++i) base[i] += bytes;
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

// Distances as those of BF16 (docs/kernels/linear.md): with more rows a step takes more
// instructions, so the core's own window reaches less far ahead.
constexpr int PrefetchDistance(int rows) {
  return rows <= 1 ? 2048 : rows <= 5 ? 4096 : rows <= 8 ? 8192 : 16384;
}

// Bytes of x that several tiles go over with a run of panels before the next rows: with the panels
// they stay in the second-level cache.
constexpr int64_t kChunkBytes = 384 * 1024;

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

  // Every sum of row r begins at start[r][..]; chains but the first at 0.
  VecI of[kChains][kRows][kVecs];

  HWY_INLINE void Clear() {
    RA_UNROLL for (int c = 0; c < kChains; ++c) {
      RA_UNROLL for (int r = 0; r < kRows; ++r) {
        RA_UNROLL for (int v = 0; v < kVecs; ++v) of[c][r][v] = hn::Zero(DI());
      }
    }
  }

  HWY_INLINE VecI Total(int r, int v) const {
    VecI total = of[0][r][v];
    RA_UNROLL for (int c = 1; c < kChains; ++c) total = hn::Add(total, of[c][r][v]);
    return total;
  }
};

// Adds one block of kBlockSteps steps; moves w, x and ahead past it.
template <class Weights, int kRows, int kPairs>
HWY_INLINE void AddBlock(TileSums<kRows, kPairs>& sums, const uint8_t*& w, RowPointers<kRows>& x,
                         Ahead& ahead) {
  using Sums = TileSums<kRows, kPairs>;
  VecI part[Sums::kChains][kRows][Sums::kVecs];
  RA_UNROLL for (int c = 0; c < Sums::kChains; ++c) {
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      RA_UNROLL for (int v = 0; v < Sums::kVecs; ++v) {
        part[c][r][v] = Weights::BeginBlock(sums.of[c][r][v]);
      }
    }
  }
  RA_UNROLL for (int step = 0; step < kBlockSteps; ++step) {
    __builtin_prefetch(ahead.at);
    if constexpr (Weights::kStepBytes > 64) __builtin_prefetch(ahead.at + 64);
    ahead.at += ahead.per_step;
    VecBytes weights[Sums::kVecs];
    RA_UNROLL for (int p = 0; p < kPairs; ++p) {
      Weights::Load(w + step * Weights::kStepBytes + p * kLanes * 4, weights[2 * p],
                    weights[2 * p + 1]);
    }
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      const VecBytes quad = BroadcastQuad(x.at(r) + 4 * step);
      RA_UNROLL for (int v = 0; v < Sums::kVecs; ++v) {
        VecI& to = part[step % Sums::kChains][r][v];
        to = Weights::Add(to, weights[v], quad);
      }
    }
  }
  RA_UNROLL for (int c = 0; c < Sums::kChains; ++c) {
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      RA_UNROLL for (int v = 0; v < Sums::kVecs; ++v) {
        sums.of[c][r][v] = Weights::EndBlock(sums.of[c][r][v], part[c][r][v]);
      }
    }
  }
  w += kBlockSteps * Weights::kStepBytes;
  x.Advance(kBlockK);
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
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      const auto start = hn::Neg(hn::ShiftLeft<3>(hn::Set(d, LoadI32(x_sums.at(r)))));
      RA_UNROLL for (int v = 0; v < 2 * kPairs; ++v) {
        sums.of[0][r][v] =
            v % 2 == 1 && Int4Weights::kHighTimes16 ? hn::ShiftLeft<4>(start) : start;
      }
    }
    return;
  }
  const hn::Rebind<uint8_t, DI> d8;
  RA_UNROLL for (int v = 0; v < 2 * kPairs; ++v) {
    const int first = lane + v / 2 * kLanes + v % 2 * kPartnerAt;
    auto minus = hn::Neg(hn::PromoteTo(d, hn::LoadU(d8, zero_points + first)));
    if (v % 2 == 1 && Int4Weights::kHighTimes16) minus = hn::ShiftLeft<4>(minus);
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      sums.of[0][r][v] = hn::Mul(minus, hn::Set(d, LoadI32(x_sums.at(r))));
    }
  }
}

// out += sums x scales of weights and x.
template <int kRows, int kPairs>
HWY_INLINE void EndGroup(const TileSums<kRows, kPairs>& sums, const uint8_t* header, ScaleType type,
                         int lane, const RowPointers<kRows>& x_scales, float* out) {
  const DF d;
  VecF<kLanes> scales[2 * kPairs];
  RA_UNROLL for (int v = 0; v < 2 * kPairs; ++v) {
    scales[v] = LoadScales(header, type, lane + v / 2 * kLanes + v % 2 * kPartnerAt);
    if (v % 2 == 1 && Int4Weights::kHighTimes16)
      scales[v] = hn::Mul(scales[v], hn::Set(d, 0x1p-4f));
  }
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    const auto x_scale = hn::BitCast(d, hn::Set(DI(), LoadI32(x_scales.at(r))));
    RA_UNROLL for (int v = 0; v < 2 * kPairs; ++v) {
      float* to = out + r * kPanelRows + v / 2 * kLanes + v % 2 * kPartnerAt;
      const auto product = hn::Mul(hn::ConvertTo(d, sums.Total(r, v)), scales[v]);
      hn::StoreU(hn::MulAdd(product, x_scale, hn::LoadU(d, to)), d, to);
    }
  }
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
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2 * kPairs; ++v) {
      hn::StoreU(hn::Zero(DF()), DF(), out + r * kPanelRows + v / 2 * kLanes + v % 2 * kPartnerAt);
    }
  }
  const int64_t scale_bytes = kPanelRows * (s.scale_type == ScaleType::kF32 ? 4 : 2);
  TileSums<kRows, kPairs> sums;
  for (int64_t left = s.k; left > 0; left -= s.group) {
    const uint8_t* header = w;
    const uint8_t* zero_points = s.has_zero_points ? header + scale_bytes : nullptr;
    __builtin_prefetch(ahead.at);
    ahead.at += ahead.per_header;
    StartGroup(sums, zero_points, lane, x_sums);
    w += scale_bytes + (s.has_zero_points ? kPanelRows : 0);
    const uint8_t* steps = w + lane * 4;
    const int64_t end = left < s.group ? left : s.group;
    for (int64_t k = 0; k < end; k += kBlockK) {
      AddBlock<Int4Weights>(sums, steps, x, ahead);
    }
    w = steps - lane * 4;
    EndGroup(sums, header, s.scale_type, lane, x_scales, out);
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
  TileSums<kRows, kPairs> sums;
  sums.Clear();
#if RA_DOT_UNSIGNED
  RA_UNROLL for (int r = 0; r < kRows; ++r) {
    const auto sum = hn::Set(DI(), LoadI32(first + r * s.x_stride + s.x_sums_at));
    const auto start = hn::Neg(hn::ShiftLeft<7>(sum));
    RA_UNROLL for (int v = 0; v < 2 * kPairs; ++v) sums.of[0][r][v] = start;
  }
#endif
  const uint8_t* steps = w + lane * 4;
  for (int64_t k = 0; k < s.k; k += kBlockK) AddBlock<Int8Weights>(sums, steps, x, ahead);
  const auto* scales = reinterpret_cast<const float*>(steps - lane * 4);
  RA_UNROLL for (int v = 0; v < 2 * kPairs; ++v) {
    const int at = v / 2 * kLanes + v % 2 * kPartnerAt;
    const auto scale = hn::LoadU(d, scales + lane + at);
    RA_UNROLL for (int r = 0; r < kRows; ++r) {
      const int32_t x_scale = LoadI32(first + r * s.x_stride + s.x_scales_at);
      const auto product = hn::Mul(hn::ConvertTo(d, sums.Total(r, v)), scale);
      hn::StoreU(hn::Mul(product, hn::BitCast(d, hn::Set(DI(), x_scale))), d,
                 out + r * kPanelRows + at);
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

// Tiles [tile_begin, tile_end) of num_tiles even ones (13 rows are 7 + 6, never 12 + 1) over one
// panel.
template <class Weights>
void PanelTiles(const QuantizedLinearSlice& s, int64_t p, int64_t num_tiles, int64_t tile_begin,
                int64_t tile_end) {
  const auto* panel = static_cast<const uint8_t*>(s.weights) + p * s.panel_bytes;
  const int64_t num_rows = s.row_end - s.row_begin;
  const int64_t passes = tile_end - tile_begin;
  const int64_t num_steps = (s.k + kBlockK - 1) / kBlockK * kBlockSteps;
  for (int64_t t = tile_begin; t < tile_end; ++t) {
    const int64_t first = num_rows * t / num_tiles;
    const auto rows = static_cast<int>(num_rows * (t + 1) / num_tiles - first);
    Ahead ahead{reinterpret_cast<const char*>(panel) + PrefetchDistance(rows), Weights::kStepBytes,
                s.panel_header_bytes};
    if (passes > 1) {
      const int64_t from = s.panel_bytes + s.panel_bytes * (t - tile_begin) / passes;
      const int64_t per_pass = (s.panel_bytes + passes - 1) / passes;
      ahead = {reinterpret_cast<const char*>(panel) + from, (per_pass + num_steps - 1) / num_steps,
               0};
    }
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
