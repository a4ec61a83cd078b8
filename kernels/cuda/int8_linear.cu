// Linear layers of INT8 weights and INT8 activations (W8A8) on tensor cores, for every number of
// rows. Activations are quantized rows (kernels/quantized_rows.h) with one scale each, which the op
// before has made.
//
// A block of 4 warps makes 16 (or 64) rows x 64 outputs; its warps share out K in slices of 128
// columns, as in int4_linear.cu, and each has a ring of its own that cp.async fills: there is no
// barrier in the main loop.
//
//   LoadStage   codes in the order lanes read them, x by rows; 64 columns
//   Mma         m16n8k32, sums in 32-bit integers: exact to K = 131072, in any order
//   Store       the warps' sums added; sum * (scale of the output * scale of the row) + bias, one
//               rounding at the store
//
// Integer sums are exact, so an output's bits follow from its row and weight alone. A row that held
// what is not finite has scale NaN and values 0: it stays in its row.
//
// Roofline: N K bytes of codes, M K of x once per 64 outputs from L2, 2 M N K operations; a block
// of 64 rows does 64 operations a byte from L2. Bandwidth-bound up to some 100 rows. Not measured:
// no GPU yet. wgmma for many rows on sm_90a is not written.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/int8_weight.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/quantized_rows.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kSlice = 128;   // columns a warp takes at a time
constexpr int kStageK = 64;   // columns of a stage
constexpr int kOutputs = 64;  // of a block
constexpr int kPanels = kOutputs / 16;
constexpr int64_t kMaxK = 131072;  // 128 * 128 * K < 2^31

struct Int8LinearParams {
  const int8_t* x = nullptr;  // [M] quantized rows
  int64_t x_stride = 0;       // bytes
  int64_t scales_at = 0;      // of a row's scale, in bytes
  const Vec16* codes = nullptr;
  const float* scales = nullptr;
  const float* bias = nullptr;
  void* y = nullptr;  // [M, N]
  int64_t y_stride = 0;
  int num_rows = 0;
  int n = 0;
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
  Vec16 codes[kPanels][kStageK / 32][kWarp];
  int8_t x[S::kRows][kStageK + 16];
};

template <typename S>
struct SharedStorage {
  union {
    Stage<S> stages[kWarps][S::kStages];
    int32_t sums[kWarps][S::kRows][kOutputs + 4];  // when all stages are done with
  };
};

// The columns of a warp's stage i.
RA_DEVICE int FirstColumn(int i) {
  return (WarpIndex() + i / 2 * kWarps) * kSlice + i % 2 * kStageK;
}
RA_DEVICE int NumStages(int padded_k) {
  const int slices = padded_k / kSlice;
  return slices <= WarpIndex() ? 0 : ((slices - WarpIndex() - 1) / kWarps + 1) * 2;
}

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
#pragma unroll
      for (int tile = 0; tile < kStageK / 32; ++tile) {
        const int64_t at =
            int64_t{BlockY() * kPanels + panel} * (params.padded_k / 32) + column / 32 + tile;
        CopyAsync16(&stage.codes[panel][tile][Lane()], params.codes + at * kWarp + Lane());
      }
    }
    constexpr int kUnits = kStageK / 16;
    for (int j = Lane(); j < S::kRows * kUnits; j += kWarp) {
      const int row = BlockX() * S::kRows + j / kUnits;
      const bool exists = row < params.num_rows;
      const int8_t* from =
          params.x + (exists ? row * params.x_stride : 0) + column + j % kUnits * 16;
      CopyAsync16OrZero(&stage.x[j / kUnits][j % kUnits * 16], from, exists);
    }
  }
  CommitAsync();
}

template <typename S>
struct Sums {
  int32_t values[S::kRows / 16][kOutputs / 8][4];
};

// Adds the products of a stage's columns.
template <typename S>
RA_DEVICE void MmaStage(const Stage<S>& stage, int num_panels, Sums<S>& sums) {
#pragma unroll
  for (int tile = 0; tile < kStageK / 32; ++tile) {
    uint32_t a[S::kRows / 16][4];
#pragma unroll
    for (int block = 0; block < S::kRows / 16; ++block) {
      LoadMatrix4(a[block], &stage.x[block * 16 + Lane() % 16][tile * 32 + Lane() / 16 * 16]);
    }
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel) {
      if (panel >= num_panels) break;
      const Vec16 codes = stage.codes[panel][tile][Lane()];
      const uint32_t b[2][2] = {{codes.x[0], codes.x[1]}, {codes.x[2], codes.x[3]}};
#pragma unroll
      for (int block = 0; block < S::kRows / 16; ++block) {
        MmaS8(sums.values[block][panel * 2], a[block], b[0]);
        MmaS8(sums.values[block][panel * 2 + 1], a[block], b[1]);
      }
    }
  }
}

template <typename S, typename Y>
RA_DEVICE void Store(const Int8LinearParams& params, const Sums<S>& sums,
                     SharedStorage<S>& shared) {
  SyncThreads();  // all stages are done with
#pragma unroll
  for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
    for (int output = 0; output < kOutputs / 8; ++output) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shared.sums[WarpIndex()][block * 16 + Lane() / 4 + i / 2 * 8]
                   [output * 8 + Lane() % 4 * 2 + i % 2] = sums.values[block][output][i];
      }
    }
  }
  SyncThreads();
  for (int i = ThreadX(); i < S::kRows * kOutputs; i += kThreads) {
    const int row = i / kOutputs;
    const int column = i % kOutputs;
    const int64_t t = int64_t{BlockX()} * S::kRows + row;
    const int output = BlockY() * kOutputs + column;
    if (t >= params.num_rows || output >= params.n) continue;
    int32_t sum = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) sum += shared.sums[warp][row][column];
    const float scale =
        *reinterpret_cast<const float*>(params.x + t * params.x_stride + params.scales_at);
    const float y = static_cast<float>(sum) * (params.scales[output] * scale) + params.bias[output];
    static_cast<Y*>(params.y)[t * params.y_stride + output] = RoundTo<Y>(y);
  }
}

template <typename S, typename Y>
__global__ void __launch_bounds__(kThreads, 1)
    Int8LinearKernel(const __grid_constant__ Int8LinearParams params) {
  auto& shared = *DynamicShared<SharedStorage<S>>();
  auto& stages = shared.stages[WarpIndex()];
  const int num_stages = NumStages(params.padded_k);
  // The last block's may be fewer.
  const int num_panels = params.padded_n / 16 - BlockY() * kPanels;
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
  Store<S, Y>(params, sums, shared);
}

template <typename S, typename Y>
void LaunchShape(const Int8LinearParams& params, Stream stream) {
  static_assert(sizeof(SharedStorage<S>) <= 99 * 1024, "a block of sm_89 has no more");
  Launch(
      Int8LinearKernel<S, Y>,
      {.x = (params.num_rows + S::kRows - 1) / S::kRows, .y = (params.n + kOutputs - 1) / kOutputs},
      {.x = kThreads}, sizeof(SharedStorage<S>), stream, params);
}

using Decode = Shape<1, 4>;
using Many = Shape<4, 2>;

template <typename Y>
void AllowShapes() {
  AllowSharedMemory(Int8LinearKernel<Decode, Y>, sizeof(SharedStorage<Decode>));
  AllowSharedMemory(Int8LinearKernel<Many, Y>, sizeof(SharedStorage<Many>));
}

}  // namespace

void AllowInt8Linear() {
  AllowShapes<float>();
  AllowShapes<BFloat16>();
}

void Int8Linear(const LinearArgs& args, const Int8Weight& weight, OpContext& context) {
  CheckArgs(args);
  RA_CHECK_LE(weight.k(), kMaxK);
  Int8LinearParams params;
  params.x = static_cast<const int8_t*>(args.x.data);
  params.x_stride = args.x.row_stride;
  params.scales_at = QuantizedRowLayout(weight.k(), 0).scales_at;
  params.codes = reinterpret_cast<const Vec16*>(weight.codes());
  params.scales = weight.scales();
  params.bias = weight.bias();
  params.y = args.y.data;
  params.y_stride = args.y.row_stride;
  params.num_rows = static_cast<int>(args.x.dim(0));
  params.n = static_cast<int>(weight.n());
  params.padded_n = static_cast<int>(weight.layout().padded_n);
  params.padded_k = static_cast<int>(weight.layout().padded_k);
  if (params.num_rows == 0) return;
  WithActivation(args.y.dtype, [&](auto y) {
    if (params.num_rows > 16) {
      LaunchShape<Many, decltype(y)>(params, context.stream());
    } else {
      LaunchShape<Decode, decltype(y)>(params, context.stream());
    }
  });
}

}  // namespace runahead::RA_CUDA
