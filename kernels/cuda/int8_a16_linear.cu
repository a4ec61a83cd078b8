// Linear layers of INT8 weights and BF16 or F16 activations (W8A16) on tensor cores, for every
// number of rows: for checkpoints whose activations are not to be rounded.
//
// A block of 4 warps makes 16 (or 32) rows x 64 outputs; its warps share out K (warp_slices.cuh),
// each with a ring of its own that cp.async fills: there is no barrier in the main loop.
//
//   LoadStage   codes as they lie in memory, x by rows; 64 columns
//   Widen       code -> 16-bit float, exactly. BF16: 128 + (code & 127), less 128, or 256 where it
//   is
//               negative. F16: 1024 + (code + 128), less 1152
//   Mma         m16n8k16
//   StoreSums   the warps' sums in ascending order, times the output's scale, plus the bias
//
// ldmatrix hands a lane the codes of columns 4t .. 4t+3 of 16, whereas the B fragment of m16n8k16
// has 2t, 2t+1 and 2t+8, 2t+9. A sum does not care which column is called what, so x is read in the
// codes' order:
//
//   column of the MMA   2t    2t+1   2t+8   2t+9
//   column of K         4t    4t+1   4t+2   4t+3     a lane's A registers of a row: 8 bytes of x
//
// A code's product with x is exact (8 bits by 8 or 11); sums are F32. An output's order of
// summation follows from K alone, so its bits from its row and weight (docs/numerics.md, batch
// invariance). Rows of an MMA do not mix: what is not finite stays in its row.
//
// Roofline: N K bytes of codes, 2 M K of x from memory and once per 64 outputs from L2; 2 M N K
// operations. Bandwidth-bound up to some 100 rows. Not measured: no GPU yet.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/half_rows.cuh"
#include "kernels/cuda/half_type.cuh"
#include "kernels/cuda/int8_weight.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/bits.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/warp_slices.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kOutputs = 64;  // of a block
constexpr int kPanels = kOutputs / kInt8PanelRows;
constexpr int kBlocksK = kStageK / 16;  // blocks of 16 columns of a stage

template <typename X>
struct Int8A16LinearParams {
  HalfRows<X> x;  // [M, K]
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  const float* bias = nullptr;
  LinearOutput y;
  int padded_n = 0;
  int padded_k = 0;
};

template <typename T, int kBlocks, int kDepth>
struct Shape {
  using X = T;
  static constexpr int kRows = 16 * kBlocks;
  static constexpr int kStages = kDepth;
};

template <typename S>
struct Stage {
  Vec16 codes[kPanels][kWarp];
  // Rows 160 bytes apart: the 8 bytes that sixteen lanes read of four rows fill the banks once.
  typename S::X x[S::kRows][kStageK + 16];
};

template <typename S>
struct SharedStorage {
  union {
    Stage<S> stages[kSliceWarps][S::kStages];
    SliceSums<float, S::kRows, kOutputs> sums;  // when all stages are done with
  };
};

template <typename S>
using Sums = WarpSums<float, S::kRows, kOutputs>;

// Starts the copies of the warp's stage i; an empty group beyond its last.
template <typename S>
RA_DEVICE void LoadStage(const Int8A16LinearParams<typename S::X>& params, int i, int num_stages,
                         int num_panels, Stage<S>& stage) {
  if (i < num_stages) {
    const int column = FirstColumn(i);
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel) {
      if (panel >= num_panels) break;
      const int64_t at =
          (int64_t{BlockY() * kPanels + panel} * params.padded_k + column) * kInt8PanelRows;
      CopyAsync16(&stage.codes[panel][Lane()], params.codes + at + Lane() * 16);
    }
    LoadRows<kStageK>(params.x, BlockX() * S::kRows, column, stage.x);
  }
  CommitAsync();
}

// Codes 0 and 1 of a word, or 2 and 3, as a pair of X.
template <typename X, int kPair>
RA_DEVICE uint32_t Widen(uint32_t word) {
  constexpr uint32_t kOnes = HalfType<X>::kOnes;
  if constexpr (kIsF16<X>) {
    // 0x6400 is 1024, 0xe480 is -1152.
    const uint32_t biased =
        PermuteBytes(word ^ 0x80808080u, 0x64646464u, kPair == 0 ? 0x4140 : 0x4342);
    return FmaPair<X>(biased, kOnes, 0xe480e480u);
  } else {
    const uint32_t codes = PermuteBytes(word, 0, kPair == 0 ? 0x4140 : 0x4342);
    // 0xc300 is -128, 0xc380 -256.
    const uint32_t biased =
        Lop3<(kLopA & kLopB) | kLopC>(codes, 0x007f007fu, HalfType<X>::kCodeBase);
    const uint32_t offset = Lop3<(kLopA & kLopB) | kLopC>(codes, 0x00800080u, 0xc300c300u);
    return FmaPair<X>(biased, kOnes, offset);
  }
}

struct alignas(8) Pairs {
  uint32_t x[2];
};

// Adds the products of a stage's columns.
template <typename S>
RA_DEVICE void MmaStage(const Stage<S>& stage, int num_panels, Sums<S>& sums) {
  using X = typename S::X;
  uint32_t a[S::kRows / 16][kBlocksK][4];
#pragma unroll
  for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
    for (int step = 0; step < kBlocksK; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const X* row = stage.x[block * 16 + half * 8 + Lane() / 4];
        const auto pairs = *reinterpret_cast<const Pairs*>(row + step * 16 + Lane() % 4 * 4);
        a[block][step][half] = pairs.x[0];
        a[block][step][half + 2] = pairs.x[1];
      }
    }
  }
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
    if (panel >= num_panels) break;
    uint32_t codes[kBlocksK];
    LoadMatrix4(codes, &stage.codes[panel][Lane()]);
#pragma unroll
    for (int step = 0; step < kBlocksK; ++step) {
      const uint32_t b[2] = {Widen<X, 0>(codes[step]), Widen<X, 1>(codes[step])};
#pragma unroll
      for (int block = 0; block < S::kRows / 16; ++block) {
        Mma<X>(sums.values[block][panel], a[block][step], b);
      }
    }
  }
}

template <typename S, typename Y>
__global__ void __launch_bounds__(kSliceThreads, 1)
    Int8A16LinearKernel(const __grid_constant__ Int8A16LinearParams<typename S::X> params) {
  auto& shared = *DynamicShared<SharedStorage<S>>();
  const int num_stages = NumStages(params.padded_k);
  // The last block's may be fewer.
  const int num_panels = params.padded_n / kInt8PanelRows - BlockY() * kPanels;
  Sums<S> sums = {};
  ForStages(
      shared.stages[WarpIndex()], num_stages,
      [&](int i, Stage<S>& stage) { LoadStage<S>(params, i, num_stages, num_panels, stage); },
      [&](int, const Stage<S>& stage) { MmaStage<S>(stage, num_panels, sums); });
  StoreSums<Y>(params.y, sums, shared.sums, [&](int64_t, int output, float sum) {
    return Fma(sum, params.scales[output], params.bias[output]);
  });
}

template <typename S, typename Y>
void LaunchShape(const Int8A16LinearParams<typename S::X>& params, Stream stream) {
  static_assert(sizeof(SharedStorage<S>) <= 99 * 1024, "a block of sm_89 has no more");
  Launch(Int8A16LinearKernel<S, Y>,
         {.x = NumBlocks(params.y.num_rows, S::kRows), .y = NumBlocks(params.y.n, kOutputs)},
         {.x = kSliceThreads}, sizeof(SharedStorage<S>), stream, params);
}

template <typename X>
using Decode = Shape<X, 1, 3>;
template <typename X>
using Many = Shape<X, 2, 2>;

template <typename X, typename Y>
void AllowShapes() {
  AllowSharedMemory(Int8A16LinearKernel<Decode<X>, Y>, sizeof(SharedStorage<Decode<X>>));
  AllowSharedMemory(Int8A16LinearKernel<Many<X>, Y>, sizeof(SharedStorage<Many<X>>));
}

template <typename X, typename Y>
void Dispatch(const Int8A16LinearParams<X>& params, Stream stream) {
  if (params.y.num_rows > 16) return LaunchShape<Many<X>, Y>(params, stream);
  LaunchShape<Decode<X>, Y>(params, stream);
}

template <typename X>
void Run(const LinearArgs& args, const Int8Weight& weight, Stream stream) {
  Int8A16LinearParams<X> params;
  params.x = MakeHalfRows<X>(args.x);
  params.codes = reinterpret_cast<const int8_t*>(weight.codes());
  params.scales = weight.scales();
  params.bias = weight.bias();
  params.y = MakeLinearOutput(args.y);
  params.padded_n = static_cast<int>(weight.layout().padded_n);
  params.padded_k = static_cast<int>(weight.layout().padded_k);
  if (params.y.num_rows == 0) return;
  args.y.dtype == DType::kF32 ? Dispatch<X, float>(params, stream) : Dispatch<X, X>(params, stream);
}

}  // namespace

void AllowInt8A16Linear() {
  AllowShapes<BFloat16, float>();
  AllowShapes<BFloat16, BFloat16>();
  AllowShapes<Float16, float>();
  AllowShapes<Float16, Float16>();
}

void Int8A16Linear(const LinearArgs& args, const Int8Weight& weight, OpContext& context) {
  CheckArgs(args);
  WithHalf(args.x.dtype, [&](auto x) { Run<decltype(x)>(args, weight, context.stream()); });
}

}  // namespace runahead::RA_CUDA
