// Linear layers of INT8 weights and BF16 activations (W8A16) on tensor cores, for every number of
// rows: for checkpoints whose activations are not to be rounded.
//
// A block of 4 warps makes 16 (or 32) rows x 64 outputs; its warps share out K (warp_slices.cuh),
// each with a ring of its own that cp.async fills: there is no barrier in the main loop.
//
//   LoadStage   codes as they lie in memory, x by rows; 64 columns
//   Widen       code -> BF16, exactly: 128 + (code & 127), less 128, or 256 where it is negative
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
// A code's product with x is exact (8 bits by 8); sums are F32. An output's order of summation
// follows from K alone, so its bits from its row and weight (docs/numerics.md, batch invariance).
// Rows of an MMA do not mix: what is not finite stays in its row.
//
// Roofline: N K bytes of codes, 2 M K of x from memory and once per 64 outputs from L2; 2 M N K
// operations. Bandwidth-bound up to some 100 rows. Not measured: no GPU yet.
#include "kernels/check_args.h"
#include "kernels/cuda/bf16_rows.cuh"
#include "kernels/cuda/dispatch.h"
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

struct Int8Bf16LinearParams {
  Bf16Rows x;  // [M, K]
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  const float* bias = nullptr;
  LinearOutput y;
  int padded_n = 0;
  int padded_k = 0;
};

template <int kBlocks, int kDepth>
struct Shape {
  static constexpr int kRows = 16 * kBlocks;
  static constexpr int kStages = kDepth;
};

template <typename S>
struct Stage {
  Vec16 codes[kPanels][kWarp];
  // Rows 160 bytes apart: the 8 bytes that sixteen lanes read of four rows fill the banks once.
  BFloat16 x[S::kRows][kStageK + 16];
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
RA_DEVICE void LoadStage(const Int8Bf16LinearParams& params, int i, int num_stages, int num_panels,
                         Stage<S>& stage) {
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

// Codes 0 and 1 of a word, or 2 and 3, as a pair of BF16.
template <int kPair>
RA_DEVICE uint32_t Widen(uint32_t word) {
  constexpr uint32_t kOnes = 0x3f803f80u;
  const uint32_t codes = PermuteBytes(word, 0, kPair == 0 ? 0x4140 : 0x4342);
  // 0x4300 is 128, 0xc300 -128, 0xc380 -256.
  const uint32_t biased = Lop3<(kLopA & kLopB) | kLopC>(codes, 0x007f007fu, 0x43004300u);
  const uint32_t offset = Lop3<(kLopA & kLopB) | kLopC>(codes, 0x00800080u, 0xc300c300u);
  return FmaBF16x2(biased, kOnes, offset);
}

struct alignas(8) Pairs {
  uint32_t x[2];
};

// Adds the products of a stage's columns.
template <typename S>
RA_DEVICE void MmaStage(const Stage<S>& stage, int num_panels, Sums<S>& sums) {
  uint32_t a[S::kRows / 16][kBlocksK][4];
#pragma unroll
  for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
    for (int step = 0; step < kBlocksK; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const BFloat16* row = stage.x[block * 16 + half * 8 + Lane() / 4];
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
      const uint32_t b[2] = {Widen<0>(codes[step]), Widen<1>(codes[step])};
#pragma unroll
      for (int block = 0; block < S::kRows / 16; ++block) {
        MmaBF16(sums.values[block][panel], a[block][step], b);
      }
    }
  }
}

template <typename S, typename Y>
__global__ void __launch_bounds__(kSliceThreads, 1)
    Int8Bf16LinearKernel(const __grid_constant__ Int8Bf16LinearParams params) {
  auto& shared = *DynamicShared<SharedStorage<S>>();
  auto& stages = shared.stages[WarpIndex()];
  const int num_stages = NumStages(params.padded_k);
  // The last block's may be fewer.
  const int num_panels = params.padded_n / kInt8PanelRows - BlockY() * kPanels;
#pragma unroll
  for (int i = 0; i < S::kStages - 1; ++i) {
    LoadStage<S>(params, i, num_stages, num_panels, stages[i]);
  }
  Sums<S> sums = {};
#pragma unroll 1
  for (int i = 0; i < num_stages; ++i) {
    WaitAsync<S::kStages - 2>();
    SyncWarp();  // the stage is there for every lane, and the one before is done with
    const int next = i + S::kStages - 1;
    LoadStage<S>(params, next, num_stages, num_panels, stages[next % S::kStages]);
    MmaStage<S>(stages[i % S::kStages], num_panels, sums);
  }
  WaitAsync<0>();
  StoreSums<Y>(params.y, sums, shared.sums, [&](int64_t, int output, float sum) {
    return Fma(sum, params.scales[output], params.bias[output]);
  });
}

template <typename S, typename Y>
void LaunchShape(const Int8Bf16LinearParams& params, Stream stream) {
  static_assert(sizeof(SharedStorage<S>) <= 99 * 1024, "a block of sm_89 has no more");
  Launch(Int8Bf16LinearKernel<S, Y>,
         {.x = NumBlocks(params.y.num_rows, S::kRows), .y = NumBlocks(params.y.n, kOutputs)},
         {.x = kSliceThreads}, sizeof(SharedStorage<S>), stream, params);
}

using Decode = Shape<1, 3>;
using Many = Shape<2, 2>;

template <typename Y>
void AllowShapes() {
  AllowSharedMemory(Int8Bf16LinearKernel<Decode, Y>, sizeof(SharedStorage<Decode>));
  AllowSharedMemory(Int8Bf16LinearKernel<Many, Y>, sizeof(SharedStorage<Many>));
}

}  // namespace

void AllowInt8Bf16Linear() {
  AllowShapes<float>();
  AllowShapes<BFloat16>();
}

void Int8Bf16Linear(const LinearArgs& args, const Int8Weight& weight, OpContext& context) {
  CheckArgs(args);
  Int8Bf16LinearParams params;
  params.x = MakeBf16Rows(args.x);
  params.codes = reinterpret_cast<const int8_t*>(weight.codes());
  params.scales = weight.scales();
  params.bias = weight.bias();
  params.y = MakeLinearOutput(args.y);
  params.padded_n = static_cast<int>(weight.layout().padded_n);
  params.padded_k = static_cast<int>(weight.layout().padded_k);
  if (params.y.num_rows == 0) return;
  WithActivation(args.y.dtype, [&](auto y) {
    if (params.y.num_rows > 16) {
      LaunchShape<Many, decltype(y)>(params, context.stream());
    } else {
      LaunchShape<Decode, decltype(y)>(params, context.stream());
    }
  });
}

}  // namespace runahead::RA_CUDA
