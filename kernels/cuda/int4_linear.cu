// Linear layers of INT4 weights and BF16 or F16 activations (W4A16) on tensor cores, for every
// number of rows.
//
// A block of 4 warps makes 16 (or 32) rows x 32 to 128 outputs. Its warps share out K, not the
// outputs (warp_slices.cuh): so a code is loaded and widened by one warp alone, and warps meet
// once, at the end.
//
// Stages of 64 columns (half a slice) come in by cp.async, each warp into a ring of its own: codes
// and scales in the order lanes read them, x by rows. A warp waits for its own copies only; there
// is no barrier in the main loop.
//
//   LoadStage   codes, scales, zero points, x of one stage
//   Widen       code -> 16-bit float, exactly: (word >> 4 p) & 0x000f000f | 0x43004300 is 128 +
//               code in BF16 (0x64006400: 1024 + code in F16), to which -(128 + zero point) is
//               added in one fused operation
//   Mma         m16n8k16 into the group's sums
//   ScaleGroup  at a group's end: sums of codes times x, times the scale, to the warp's sums
//   StoreSums   the warps' sums in ascending order, bias, one rounding at the store
//
// A weight's product with x is exact (5 bits by 8 or 11); sums are F32; the scale multiplies a
// group's sum. An output's order of summation follows from K and the group alone: only the number
// of 16-row blocks and the width of tiles follow M and N (docs/numerics.md, batch invariance). Rows
// of an MMA do not mix, so what is not finite stays in its row.
//
// Roofline: N K / 2 bytes of codes, 2 N K / group of scales of 16 bits (as much again of zero
// points), 2 M K of x from memory and once per 32 to 128 outputs from L2; 2 M N K operations.
// Bandwidth-bound up to some 64 rows. Not measured: no GPU yet.
#include <type_traits>

#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/half_rows.cuh"
#include "kernels/cuda/half_type.cuh"
#include "kernels/cuda/int4_weight.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/bits.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/warp_slices.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kMostGroups = 2;  // of a stage; a slice has whole groups

template <typename X>
struct Int4LinearParams {
  HalfRows<X> x;  // [M, K]
  const Vec16* codes = nullptr;
  const char* scales = nullptr;
  const char* offsets = nullptr;  // null: symmetric
  DType scale_dtype = DType::kF32;
  const float* bias = nullptr;
  LinearOutput y;
  int padded_n = 0;
  int padded_k = 0;
  int group = 0;
};

// How a block is shaped. Data: Dispatch() below chooses among them.
template <typename T, int kBlocks, int kN, int kDepth>
struct Shape {
  using X = T;
  static constexpr int kRows = 16 * kBlocks;
  static constexpr int kOutputs = kN;
  static constexpr int kPanels = kN / 32;
  static constexpr int kStages = kDepth;
};

template <typename S>
struct Stage {
  Vec16 codes[S::kPanels][kStageK / 32][kWarp];
  alignas(16) char scales[kMostGroups][S::kOutputs * 4];  // of 2 bytes: the first half
  alignas(16) uint16_t offsets[kMostGroups][S::kOutputs];
  typename S::X x[S::kRows][kStageK + 8];
};

template <typename S>
struct SharedStorage {
  union {
    Stage<S> stages[kSliceWarps][S::kStages];
    SliceSums<float, S::kRows, S::kOutputs> sums;  // when all stages are done with
  };
};

// Starts the copies of what `num_groups` groups have for each output of the block, `kBytes` each.
template <int kBytes, typename S, typename T, int kPitch>
RA_DEVICE void LoadGroups(const Int4LinearParams<typename S::X>& params, const char* from,
                          int first_group, int num_groups, T (&to)[kMostGroups][kPitch]) {
  constexpr int kUnits = S::kOutputs * kBytes / 16;
  constexpr int kOutputsAUnit = 16 / kBytes;
  const int first_output = BlockY() * S::kOutputs;
  for (int j = Lane(); j < num_groups * kUnits; j += kWarp) {
    const int group = j / kUnits;
    const int output = j % kUnits * kOutputsAUnit;
    if (first_output + output >= params.padded_n) continue;
    const int64_t at = int64_t{first_group + group} * params.padded_n + first_output + output;
    CopyAsync16(reinterpret_cast<char*>(to[group]) + output * kBytes, from + at * kBytes);
  }
}

// Starts the copies of the warp's stage i; an empty group beyond its last.
template <typename S>
RA_DEVICE void LoadStage(const Int4LinearParams<typename S::X>& params, int i, int num_stages,
                         Stage<S>& stage) {
  if (i < num_stages) {
    const int column = FirstColumn(i);
    const int first_output = BlockY() * S::kOutputs;
#pragma unroll
    for (int panel = 0; panel < S::kPanels; ++panel) {
      if (first_output + panel * 32 >= params.padded_n) break;
#pragma unroll
      for (int tile = 0; tile < kStageK / 32; ++tile) {
        const int64_t at =
            int64_t{first_output / 32 + panel} * (params.padded_k / 32) + column / 32 + tile;
        CopyAsync16(&stage.codes[panel][tile][Lane()], params.codes + at * kWarp + Lane());
      }
    }
    // One group of 128 spans two stages.
    const int first_group = column / params.group;
    const int num_groups = params.group >= kStageK ? 1 : kStageK / params.group;
    if (params.scale_dtype == DType::kF32) {
      LoadGroups<4, S>(params, params.scales, first_group, num_groups, stage.scales);
    } else {
      LoadGroups<2, S>(params, params.scales, first_group, num_groups, stage.scales);
    }
    if (params.offsets != nullptr) {
      LoadGroups<2, S>(params, params.offsets, first_group, num_groups, stage.offsets);
    }
    LoadRows<kStageK>(params.x, BlockX() * S::kRows, column, stage.x);
  }
  CommitAsync();
}

// Pair p of a word of codes as X: code - zero point.
template <typename X, int kPair>
RA_DEVICE uint32_t Widen(uint32_t word, uint32_t offset) {
  const uint32_t biased =
      Lop3<(kLopA & kLopB) | kLopC>(word >> (4 * kPair), 0x000f000fu, HalfType<X>::kCodeBase);
  return FmaPair<X>(biased, HalfType<X>::kOnes, offset);
}
RA_DEVICE uint32_t Twice(uint32_t half) { return PermuteBytes(half, 0, 0x1010); }
// What symmetric weights add: -(128 + 8), -(1024 + 8).
template <typename X>
inline constexpr uint32_t kSymmetricOffset = kIsF16<X> ? 0xe408e408u : 0xc308c308u;

template <typename S>
using Sums = WarpSums<float, S::kRows, S::kOutputs>;

// Sums of codes times x over the 32 columns of tile `tile`.
template <typename S>
RA_DEVICE void MmaTile(const Stage<S>& stage, int tile, int group, bool has_offsets, int num_panels,
                       Sums<S>& sums) {
  using X = typename S::X;
  uint32_t a[S::kRows / 16][2][4];
#pragma unroll
  for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      LoadMatrix4(a[block][step],
                  &stage.x[block * 16 + Lane() % 16][tile * 32 + step * 16 + Lane() / 16 * 8]);
    }
  }
#pragma unroll
  for (int panel = 0; panel < S::kPanels; ++panel) {
    if (panel >= num_panels) break;
    const Vec16 codes = stage.codes[panel][tile][Lane()];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int output = panel * 4 + j;  // in units of 8
      const uint32_t offset =
          has_offsets ? Twice(stage.offsets[group][output * 8 + Lane() / 4]) : kSymmetricOffset<X>;
      const uint32_t b[2][2] = {{Widen<X, 0>(codes.x[j], offset), Widen<X, 1>(codes.x[j], offset)},
                                {Widen<X, 2>(codes.x[j], offset), Widen<X, 3>(codes.x[j], offset)}};
#pragma unroll
      for (int block = 0; block < S::kRows / 16; ++block) {
        Mma<X>(sums.values[block][output], a[block][0], b[0]);
        Mma<X>(sums.values[block][output], a[block][1], b[1]);
      }
    }
  }
}

// The scales of two outputs, as F32.
struct ScalePair {
  float scale[2];
};
template <typename Scale>
RA_DEVICE ScalePair ReadScales(const char* scales, int output) {
  if constexpr (sizeof(Scale) == 4) {
    const auto* pair = reinterpret_cast<const float*>(scales) + output;
    return {{pair[0], pair[1]}};
  } else {
    const uint32_t pair = *reinterpret_cast<const uint32_t*>(scales + output * 2);
    return {{ToF32(Scale{static_cast<uint16_t>(pair)}),
             ToF32(Scale{static_cast<uint16_t>(pair >> 16)})}};
  }
}

// total += group sums * scale; the group's sums start anew.
template <typename Scale, typename S>
RA_DEVICE void ScaleGroup(const Stage<S>& stage, int group, int num_panels, Sums<S>& sums,
                          Sums<S>& total) {
#pragma unroll
  for (int output = 0; output < S::kOutputs / 8; ++output) {
    if (output >= num_panels * 4) break;
    const ScalePair pair = ReadScales<Scale>(stage.scales[group], output * 8 + Lane() % 4 * 2);
#pragma unroll
    for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& sum = sums.values[block][output][i];
        float& to = total.values[block][output][i];
        to = Fma(sum, pair.scale[i % 2], to);
        sum = 0;
      }
    }
  }
}

template <typename S, typename Y>
__global__ void __launch_bounds__(kSliceThreads, 1)
    Int4LinearKernel(const __grid_constant__ Int4LinearParams<typename S::X> params) {
  auto& shared = *DynamicShared<SharedStorage<S>>();
  const int num_stages = NumStages(params.padded_k);
  const bool has_offsets = params.offsets != nullptr;
  // The last block's may be fewer.
  const int num_panels = params.padded_n / 32 - BlockY() * S::kPanels;
  Sums<S> sums = {};
  Sums<S> total = {};
  const auto load = [&](int i, Stage<S>& stage) { LoadStage<S>(params, i, num_stages, stage); };
  ForStages(shared.stages[WarpIndex()], num_stages, load, [&](int i, const Stage<S>& stage) {
    const int column = i % 2 * kStageK;  // within the slice
#pragma unroll
    for (int tile = 0; tile < kStageK / 32; ++tile) {
      const int group = params.group == 32 ? tile : 0;  // of the stage
      MmaTile<S>(stage, tile, group, has_offsets, num_panels, sums);
      if ((column + tile * 32 + 32) % params.group != 0) continue;
      switch (params.scale_dtype) {
        case DType::kF32:
          ScaleGroup<float>(stage, group, num_panels, sums, total);
          break;
        case DType::kF16:
          ScaleGroup<Float16>(stage, group, num_panels, sums, total);
          break;
        default:
          ScaleGroup<BFloat16>(stage, group, num_panels, sums, total);
      }
    }
  });
  StoreSums<Y>(params.y, total, shared.sums,
               [&](int64_t, int output, float sum) { return sum + params.bias[output]; });
}

template <typename S, typename Y>
void LaunchShape(const Int4LinearParams<typename S::X>& params, Stream stream) {
  static_assert(sizeof(SharedStorage<S>) <= 99 * 1024, "a block of sm_89 has no more");
  Launch(Int4LinearKernel<S, Y>,
         {.x = NumBlocks(params.y.num_rows, S::kRows), .y = NumBlocks(params.y.n, S::kOutputs)},
         {.x = kSliceThreads}, sizeof(SharedStorage<S>), stream, params);
}

template <typename X>
using Narrow = Shape<X, 1, 32, 4>;  // few outputs: more blocks
template <typename X>
using Decode = Shape<X, 1, 64, 4>;
template <typename X>
using Verify = Shape<X, 1, 128, 3>;  // some rows of x, read half as often from L2
template <typename X>
using Many = Shape<X, 2, 64, 3>;

constexpr int kMaxDecodeRows = 4;  // from where on x is more than a quarter of the codes' bytes

template <typename X, typename Y>
void Dispatch(const Int4LinearParams<X>& params, int multiprocessors, Stream stream) {
  if (params.y.num_rows > 16) return LaunchShape<Many<X>, Y>(params, stream);
  if (params.y.n < 64 * 2 * multiprocessors) return LaunchShape<Narrow<X>, Y>(params, stream);
  if (params.y.num_rows > kMaxDecodeRows) return LaunchShape<Verify<X>, Y>(params, stream);
  LaunchShape<Decode<X>, Y>(params, stream);
}

template <typename X, typename Y>
void AllowShapes() {
  AllowSharedMemory(Int4LinearKernel<Narrow<X>, Y>, sizeof(SharedStorage<Narrow<X>>));
  AllowSharedMemory(Int4LinearKernel<Decode<X>, Y>, sizeof(SharedStorage<Decode<X>>));
  AllowSharedMemory(Int4LinearKernel<Verify<X>, Y>, sizeof(SharedStorage<Verify<X>>));
  AllowSharedMemory(Int4LinearKernel<Many<X>, Y>, sizeof(SharedStorage<Many<X>>));
}

template <typename X>
void Run(const LinearArgs& args, const Int4Weight& weight, OpContext& context) {
  const Int4Layout& layout = weight.layout();
  Int4LinearParams<X> params;
  params.x = MakeHalfRows<X>(args.x);
  params.codes = reinterpret_cast<const Vec16*>(weight.codes());
  params.scales = weight.scales();
  params.offsets = weight.offsets();
  params.scale_dtype = layout.scale_dtype;
  params.bias = weight.bias();
  params.y = MakeLinearOutput(args.y);
  params.padded_n = static_cast<int>(layout.padded_n);
  params.padded_k = static_cast<int>(layout.padded_k);
  params.group = weight.format().group;
  if (params.y.num_rows == 0) return;
  const int multiprocessors = context.runtime.properties().num_multiprocessors;
  if (args.y.dtype == DType::kF32) {
    Dispatch<X, float>(params, multiprocessors, context.stream());
  } else {
    Dispatch<X, X>(params, multiprocessors, context.stream());
  }
}

}  // namespace

void AllowInt4Linear() {
  AllowShapes<BFloat16, float>();
  AllowShapes<BFloat16, BFloat16>();
  AllowShapes<Float16, float>();
  AllowShapes<Float16, Float16>();
}

void Int4Linear(const LinearArgs& args, const Int4Weight& weight, OpContext& context) {
  CheckArgs(args);
  WithHalf(args.x.dtype, [&](auto x) { Run<decltype(x)>(args, weight, context); });
}

}  // namespace runahead::RA_CUDA
