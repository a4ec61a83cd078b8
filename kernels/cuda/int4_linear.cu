// Linear layers of INT4 weights and BF16 activations (W4A16) on tensor cores, for every number of
// rows.
//
// A block of 4 warps makes 16 (or 32) rows x 32 (or 64) outputs. Its warps share out K, not the
// outputs: warp w has slices w, w + 4, ... of 128 columns. So a code is loaded and widened by one
// warp alone, and warps meet once, at the end:
//
//                 K: | 128 | 128 | 128 | 128 | 128 | ...
//      x [16, K]       w0    w1    w2    w3    w0            each warp: partial y [16, 64] in F32
//      W [64, K]       w0    w1    w2    w3    w0            y = ((w0 + w1) + w2) + w3 + bias
//
// Stages of 64 columns (half a slice) come in by cp.async, each warp into a ring of its own: codes
// and scales in the order lanes read them, x by rows. A warp waits for its own copies only; there
// is no barrier in the main loop.
//
//   LoadStage   codes, scales, zero points, x of one stage
//   Widen       code -> BF16, exactly: (word >> 4 p) & 0x000f000f | 0x43004300 is 128 + code, to
//   which
//               -(128 + zero point) is added in one fused operation
//   Mma         m16n8k16 into the group's sums
//   ScaleGroup  at a group's end: sums of codes times x, times the scale, to the warp's sums
//   Reduce      the warps' sums in ascending order, bias, one rounding at the store
//
// A weight's product with x is exact (12 bits by 8); sums are F32; the scale multiplies a group's
// sum. An output's order of summation follows from K and the group alone: only the number of
// 16-row blocks and the width of tiles follow M and N (docs/numerics.md, batch invariance). Rows of
// an MMA do not mix, so what is not finite stays in its row.
//
// Roofline: N K / 2 bytes of codes, 4 N K / group of scales (as much again of zero points), 2 M K
// of x from memory and once per 32 or 64 outputs from L2; 2 M N K operations. Bandwidth-bound up to
// some 64 rows. Not measured: no GPU yet.
#include <type_traits>

#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/int4_weight.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/bits.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kSlice = 128;     // columns a warp takes at a time: whole groups
constexpr int kStageK = 64;     // columns of a stage
constexpr int kMostGroups = 2;  // of a stage

struct Int4LinearParams {
  const BFloat16* x = nullptr;  // [M, K]
  int64_t x_stride = 0;
  bool is_x_aligned = false;  // rows start at multiples of 16 bytes and K is one of 8
  const Vec16* codes = nullptr;
  const float* scales = nullptr;
  const uint32_t* offsets = nullptr;  // null: symmetric
  const float* bias = nullptr;
  void* y = nullptr;  // [M, N]
  int64_t y_stride = 0;
  int num_rows = 0;
  int n = 0;
  int padded_n = 0;
  int k = 0;
  int padded_k = 0;
  int group = 0;
};

// How a block is shaped. Data: Dispatch() below chooses among them.
template <int kBlocks, int kN, int kDepth>
struct Shape {
  static constexpr int kRows = 16 * kBlocks;
  static constexpr int kOutputs = kN;
  static constexpr int kPanels = kN / 32;
  static constexpr int kStages = kDepth;
};

template <typename S>
struct Stage {
  Vec16 codes[S::kPanels][kStageK / 32][kWarp];
  float scales[kMostGroups][S::kOutputs];
  uint32_t offsets[kMostGroups][S::kOutputs];
  BFloat16 x[S::kRows][kStageK + 8];
};

template <typename S>
struct SharedStorage {
  union {
    Stage<S> stages[kWarps][S::kStages];
    float sums[kWarps][S::kRows][S::kOutputs + 4];  // when all stages are done with
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

// x of a stage: 16 bytes at a time, zeros beyond the rows and columns there are.
template <typename S>
RA_DEVICE void LoadX(const Int4LinearParams& params, int first_row, int column, Stage<S>& stage) {
  constexpr int kUnits = kStageK / 8;
  for (int i = Lane(); i < S::kRows * kUnits; i += kWarp) {
    const int row = i / kUnits;
    const int at = column + i % kUnits * 8;
    BFloat16* to = &stage.x[row][i % kUnits * 8];
    const bool has_row = first_row + row < params.num_rows;
    const BFloat16* from = params.x + (has_row ? (first_row + row) * params.x_stride : 0);
    if (params.is_x_aligned) {
      const bool exists = has_row && at < params.k;
      CopyAsync16OrZero(to, from + (exists ? at : 0), exists);
    } else {
      for (int j = 0; j < 8; ++j) {
        to[j] = has_row && at + j < params.k ? from[at + j] : BFloat16{0};
      }
    }
  }
}

// Starts the copies of the warp's stage i; an empty group beyond its last.
template <typename S>
RA_DEVICE void LoadStage(const Int4LinearParams& params, int i, int num_stages, Stage<S>& stage) {
  if (i < num_stages) {
    const int column = FirstColumn(i);
    const int first_row = BlockX() * S::kRows;
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
    // Four outputs a copy; one group of 128 spans two stages.
    constexpr int kUnits = S::kOutputs / 4;
    const int num_groups = params.group >= kStageK ? 1 : kStageK / params.group;
    for (int j = Lane(); j < num_groups * kUnits; j += kWarp) {
      const int group = j / kUnits;
      const int output = j % kUnits * 4;
      if (first_output + output >= params.padded_n) continue;
      const int64_t at =
          int64_t{column / params.group + group} * params.padded_n + first_output + output;
      CopyAsync16(&stage.scales[group][output], params.scales + at);
      if (params.offsets != nullptr) {
        CopyAsync16(&stage.offsets[group][output], params.offsets + at);
      }
    }
    LoadX<S>(params, first_row, column, stage);
  }
  CommitAsync();
}

// Pair p of a word of codes as BF16: code - zero point.
template <int kPair>
RA_DEVICE uint32_t Widen(uint32_t word, uint32_t offset) {
  constexpr uint32_t kOnes = 0x3f803f80u;
  const uint32_t biased =
      Lop3<(kLopA & kLopB) | kLopC>(word >> (4 * kPair), 0x000f000fu, 0x43004300u);
  return FmaBF16x2(biased, kOnes, offset);
}

template <typename S>
struct Sums {
  float values[S::kRows / 16][S::kOutputs / 8][4];
};

// Sums of codes times x over the 32 columns of tile `tile`.
template <typename S>
RA_DEVICE void MmaTile(const Stage<S>& stage, int tile, int group, bool has_offsets, int num_panels,
                       Sums<S>& sums) {
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
          has_offsets ? stage.offsets[group][output * 8 + Lane() / 4] : 0xc308c308u;  // -136
      const uint32_t b[2][2] = {{Widen<0>(codes.x[j], offset), Widen<1>(codes.x[j], offset)},
                                {Widen<2>(codes.x[j], offset), Widen<3>(codes.x[j], offset)}};
#pragma unroll
      for (int block = 0; block < S::kRows / 16; ++block) {
        MmaBF16(sums.values[block][output], a[block][0], b[0]);
        MmaBF16(sums.values[block][output], a[block][1], b[1]);
      }
    }
  }
}

// total += group sums * scale; the group's sums start anew.
template <typename S>
RA_DEVICE void ScaleGroup(const Stage<S>& stage, int group, int num_panels, Sums<S>& sums,
                          Sums<S>& total) {
#pragma unroll
  for (int output = 0; output < S::kOutputs / 8; ++output) {
    if (output >= num_panels * 4) break;
    const float* scales = &stage.scales[group][output * 8 + Lane() % 4 * 2];
    const float scale[2] = {scales[0], scales[1]};
#pragma unroll
    for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& sum = sums.values[block][output][i];
        float& to = total.values[block][output][i];
        to = Fma(sum, scale[i % 2], to);
        sum = 0;
      }
    }
  }
}

// The warps' sums in ascending order, and the bias.
template <typename S, typename Y>
RA_DEVICE void Reduce(const Int4LinearParams& params, const Sums<S>& total,
                      SharedStorage<S>& shared) {
  SyncThreads();  // all stages are done with
#pragma unroll
  for (int block = 0; block < S::kRows / 16; ++block) {
#pragma unroll
    for (int output = 0; output < S::kOutputs / 8; ++output) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shared.sums[WarpIndex()][block * 16 + Lane() / 4 + i / 2 * 8]
                   [output * 8 + Lane() % 4 * 2 + i % 2] = total.values[block][output][i];
      }
    }
  }
  SyncThreads();
  for (int i = ThreadX(); i < S::kRows * S::kOutputs; i += kThreads) {
    const int row = i / S::kOutputs;
    const int column = i % S::kOutputs;
    const int64_t t = int64_t{BlockX()} * S::kRows + row;
    const int output = BlockY() * S::kOutputs + column;
    if (t >= params.num_rows || output >= params.n) continue;
    float sum = shared.sums[0][row][column];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) sum += shared.sums[warp][row][column];
    static_cast<Y*>(params.y)[t * params.y_stride + output] = RoundTo<Y>(sum + params.bias[output]);
  }
}

template <typename S, typename Y>
__global__ void __launch_bounds__(kThreads, 1)
    Int4LinearKernel(const __grid_constant__ Int4LinearParams params) {
  auto& shared = *DynamicShared<SharedStorage<S>>();
  auto& stages = shared.stages[WarpIndex()];
  const int num_stages = NumStages(params.padded_k);
  const bool has_offsets = params.offsets != nullptr;
  // The last block's may be fewer.
  const int num_panels = params.padded_n / 32 - BlockY() * S::kPanels;
#pragma unroll
  for (int i = 0; i < S::kStages - 1; ++i) LoadStage<S>(params, i, num_stages, stages[i]);
  Sums<S> sums = {};
  Sums<S> total = {};
#pragma unroll 1
  for (int i = 0; i < num_stages; ++i) {
    WaitAsync<S::kStages - 2>();
    SyncWarp();  // the stage is there for every lane, and the one before is done with
    LoadStage<S>(params, i + S::kStages - 1, num_stages, stages[(i + S::kStages - 1) % S::kStages]);
    const Stage<S>& stage = stages[i % S::kStages];
    const int column = i % 2 * kStageK;  // within the slice
#pragma unroll
    for (int tile = 0; tile < kStageK / 32; ++tile) {
      const int group = params.group == 32 ? tile : 0;  // of the stage
      MmaTile<S>(stage, tile, group, has_offsets, num_panels, sums);
      if ((column + tile * 32 + 32) % params.group == 0) {
        ScaleGroup<S>(stage, group, num_panels, sums, total);
      }
    }
  }
  WaitAsync<0>();
  Reduce<S, Y>(params, total, shared);
}

template <typename S, typename Y>
void LaunchShape(const Int4LinearParams& params, Stream stream) {
  static_assert(sizeof(SharedStorage<S>) <= 99 * 1024, "a block of sm_89 has no more");
  Launch(Int4LinearKernel<S, Y>,
         {.x = (params.num_rows + S::kRows - 1) / S::kRows,
          .y = (params.n + S::kOutputs - 1) / S::kOutputs},
         {.x = kThreads}, sizeof(SharedStorage<S>), stream, params);
}

using Narrow = Shape<1, 32, 4>;  // few outputs: more blocks
using Decode = Shape<1, 64, 4>;
using Many = Shape<2, 64, 3>;

template <typename Y>
void Dispatch(const Int4LinearParams& params, int multiprocessors, Stream stream) {
  if (params.num_rows > 16) return LaunchShape<Many, Y>(params, stream);
  if (params.n < 64 * 2 * multiprocessors) return LaunchShape<Narrow, Y>(params, stream);
  LaunchShape<Decode, Y>(params, stream);
}

template <typename Y>
void AllowShapes() {
  AllowSharedMemory(Int4LinearKernel<Narrow, Y>, sizeof(SharedStorage<Narrow>));
  AllowSharedMemory(Int4LinearKernel<Decode, Y>, sizeof(SharedStorage<Decode>));
  AllowSharedMemory(Int4LinearKernel<Many, Y>, sizeof(SharedStorage<Many>));
}

}  // namespace

void AllowInt4Linear() {
  AllowShapes<float>();
  AllowShapes<BFloat16>();
}

void Int4Linear(const LinearArgs& args, const Int4Weight& weight, OpContext& context) {
  CheckArgs(args);
  const Int4Layout& layout = weight.layout();
  Int4LinearParams params;
  params.x = static_cast<const BFloat16*>(args.x.data);
  params.x_stride = args.x.row_stride;
  params.is_x_aligned = args.x.row_stride % 8 == 0 && weight.k() % 8 == 0 &&
                        reinterpret_cast<uintptr_t>(args.x.data) % 16 == 0;
  params.codes = reinterpret_cast<const Vec16*>(weight.codes());
  params.scales = weight.scales();
  params.offsets = weight.offsets();
  params.bias = weight.bias();
  params.y = args.y.data;
  params.y_stride = args.y.row_stride;
  params.num_rows = static_cast<int>(args.x.dim(0));
  params.n = static_cast<int>(weight.n());
  params.padded_n = static_cast<int>(layout.padded_n);
  params.k = static_cast<int>(weight.k());
  params.padded_k = static_cast<int>(layout.padded_k);
  params.group = weight.format().group;
  if (params.num_rows == 0) return;
  const int multiprocessors = context.runtime.properties().num_multiprocessors;
  WithActivation(args.y.dtype,
                 [&](auto y) { Dispatch<decltype(y)>(params, multiprocessors, context.stream()); });
}

}  // namespace runahead::RA_CUDA
