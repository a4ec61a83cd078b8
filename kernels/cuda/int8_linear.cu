// Linear layers of INT8 weights and INT8 activations (W8A8) on tensor cores, for every number of
// rows. Activations are quantized rows (kernels/quantized_rows.h) with one scale each, which the op
// before has made.
//
// A block of 4 warps makes 16 (or 64) rows x 64 outputs; its warps share out K in slices of 128
// columns (warp_slices.cuh), and each has a ring of its own that cp.async fills: there is no
// barrier in the main loop.
//
//   LoadStage   codes as they lie in memory, x by rows; 64 columns
//   Mma         m16n8k32, sums in 32-bit integers: exact to K = 131072, in any order
//   StoreSums   the warps' sums added; sum * (scale of the output * scale of the row) + bias, one
//               rounding at the store
//
// Integer sums are exact, so an output's bits follow from its row and weight alone. A row that held
// what is not finite has scale NaN and values 0: it stays in its row.
//
// Roofline: N K bytes of codes, M K of x once per 64 outputs from L2, 2 M N K operations; a block
// of 64 rows does 64 operations a byte from L2. Bandwidth-bound up to some 100 rows. Not measured:
// no GPU yet. Many rows on sm_90a are int8_wgmma_linear.cu's.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/int8_linear.cuh"
#include "kernels/cuda/int8_weight.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/quantized_rows.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kOutputs = 64;  // of a block
constexpr int kPanels = kOutputs / kInt8PanelRows;
constexpr int64_t kMaxK = 131072;     // 128 * 128 * K < 2^31
constexpr int kWgmmaCapability = 90;  // no other has it

template <int kBlocks, int kDepth>
struct Shape {
  static constexpr int kRows = 16 * kBlocks;
  static constexpr int kStages = kDepth;
};

template <typename S>
struct Stage {
  Vec16 codes[kPanels][kWarp];  // [8 outputs][16-column blocks][output]
  int8_t x[S::kRows][kStageK + 16];
};

template <typename S>
struct SharedStorage {
  union {
    Stage<S> stages[kSliceWarps][S::kStages];
    SliceSums<int32_t, S::kRows, kOutputs> sums;  // when all stages are done with
  };
};

// Starts the copies of the warp's stage i; an empty group beyond its last. Rows of x have zeros to
// a multiple of 128 columns.
template <typename S>
RA_DEVICE void LoadStage(const Int8LinearParams& params, int i, int num_stages, int num_panels,
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
    constexpr int kUnits = kStageK / 16;
    for (int j = Lane(); j < S::kRows * kUnits; j += kWarp) {
      const int row = BlockX() * S::kRows + j / kUnits;
      const bool exists = row < params.y.num_rows;
      const int8_t* from =
          params.x + (exists ? row * params.x_stride : 0) + column + j % kUnits * 16;
      CopyAsync16OrZero(&stage.x[j / kUnits][j % kUnits * 16], from, exists);
    }
  }
  CommitAsync();
}

template <typename S>
using Sums = WarpSums<int32_t, S::kRows, kOutputs>;

// Adds the products of a stage's columns: two steps of 32.
template <typename S>
RA_DEVICE void MmaStage(const Stage<S>& stage, int num_panels, Sums<S>& sums) {
  uint32_t a[S::kRows / 16][2][4];
#pragma unroll
  for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      LoadMatrix4(a[block][step], &stage.x[block * 16 + Lane() % 16][step * 32 + Lane() / 16 * 16]);
    }
  }
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
    if (panel >= num_panels) break;
    uint32_t codes[4];
    LoadMatrix4(codes, &stage.codes[panel][Lane()]);
    const uint32_t b[2][2] = {{codes[0], codes[1]}, {codes[2], codes[3]}};
#pragma unroll
    for (int block = 0; block < S::kRows / 16; ++block) {
      MmaS8(sums.values[block][panel], a[block][0], b[0]);
      MmaS8(sums.values[block][panel], a[block][1], b[1]);
    }
  }
}

template <typename S, typename Y>
__global__ void __launch_bounds__(kSliceThreads, 1)
    Int8LinearKernel(const __grid_constant__ Int8LinearParams params) {
  auto& shared = *DynamicShared<SharedStorage<S>>();
  const int num_stages = NumStages(params.padded_k);
  // The last block's may be fewer.
  const int num_panels = params.padded_n / kInt8PanelRows - BlockY() * kPanels;
  Sums<S> sums = {};
  ForStages(
      shared.stages[WarpIndex()], num_stages,
      [&](int i, Stage<S>& stage) { LoadStage<S>(params, i, num_stages, num_panels, stage); },
      [&](int, const Stage<S>& stage) { MmaStage<S>(stage, num_panels, sums); });
  StoreSums<Y>(params.y, sums, shared.sums, [&](int64_t t, int output, int32_t sum) {
    return OutputOfCodes(params, ScaleOfRow(params, t), output, sum);
  });
}

template <typename S, typename Y>
void LaunchShape(const Int8LinearParams& params, Stream stream) {
  static_assert(sizeof(SharedStorage<S>) <= 99 * 1024, "a block of sm_89 has no more");
  Launch(Int8LinearKernel<S, Y>,
         {.x = NumBlocks(params.y.num_rows, S::kRows), .y = NumBlocks(params.y.n, kOutputs)},
         {.x = kSliceThreads}, sizeof(SharedStorage<S>), stream, params);
}

using Decode = Shape<1, 4>;
using Many = Shape<4, 2>;

// Whether blocks of wgmma are whole and keep a quarter of the multiprocessors busy, from where on
// smaller ones lose more in L2 than they gain in number. By arithmetic, not measured.
bool PrefersWgmma(const LinearOutput& y, const DeviceProperties& device) {
  if (device.compute_capability != kWgmmaCapability || y.num_rows < kWgmmaRows) return false;
  const int64_t blocks = int64_t{NumBlocks(y.num_rows, kWgmmaRows)} * NumBlocks(y.n, kWgmmaOutputs);
  return 4 * blocks >= device.num_multiprocessors;
}

template <typename Y>
void AllowShapes() {
  AllowSharedMemory(Int8LinearKernel<Decode, Y>, sizeof(SharedStorage<Decode>));
  AllowSharedMemory(Int8LinearKernel<Many, Y>, sizeof(SharedStorage<Many>));
}

}  // namespace

void AllowInt8Linear(const DeviceProperties& device) {
  AllowShapes<float>();
  AllowShapes<BFloat16>();
  AllowShapes<Float16>();
  AllowInt8A16Linear();
  if (device.compute_capability == kWgmmaCapability) AllowInt8WgmmaLinear();
}

void Int8Linear(const LinearArgs& args, const Int8Weight& weight, OpContext& context) {
  if (args.x.dtype != DType::kI8) return Int8A16Linear(args, weight, context);
  CheckArgs(args);
  RA_CHECK_LE(weight.k(), kMaxK);
  Int8LinearParams params;
  params.x = static_cast<const int8_t*>(args.x.data);
  params.x_stride = args.x.row_stride;
  params.scales_at = QuantizedRowLayout(weight.k(), 0).scales_at;
  params.codes = reinterpret_cast<const int8_t*>(weight.codes());
  params.scales = weight.scales();
  params.bias = weight.bias();
  params.y = MakeLinearOutput(args.y);
  params.padded_n = static_cast<int>(weight.layout().padded_n);
  params.padded_k = static_cast<int>(weight.layout().padded_k);
  if (params.y.num_rows == 0) return;
  if (PrefersWgmma(params.y, context.runtime.properties())) {
    return Int8WgmmaLinear(params, args.y.dtype, context.stream());
  }
  WithActivation(args.y.dtype, [&](auto y) {
    if (params.y.num_rows > 16) {
      LaunchShape<Many, decltype(y)>(params, context.stream());
    } else {
      LaunchShape<Decode, decltype(y)>(params, context.stream());
    }
  });
}

}  // namespace runahead::RA_CUDA
