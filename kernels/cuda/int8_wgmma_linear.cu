// Linear layers of INT8 weights and INT8 activations (W8A8) for many rows on sm_90a: wgmma, fed
// through a ring of stages by a warpgroup of its own. The same bits as int8_linear.cu: integer sums
// are exact in any order, and the epilogue is one function.
//
// A block of 3 warpgroups makes 128 rows x 256 outputs:
//
//   warpgroup 0      loads: a stage of 128 columns, 4 stages in flight
//     x      [128, 128]   cp.async, 16 bytes a thread, swizzled on the way (rows have any stride)
//     codes  [256, 128]   32 bulk copies of 1024 bytes: panels lie in memory as wgmma reads them
//   warpgroups 1, 2  multiply: 64 rows x 256 outputs each, 4 x m64n256k32 a stage; then store
//
//             full[s]: 128 arrivals of x, 1 with the bytes of codes
//   loads ------------------------------------------------------------> multiplies
//         <------------------------------------------------------------
//             empty[s]: 8 warps, each when its wgmma of the stage are done
//
// A stage is given back when the next one's wgmma have been issued, so that tensor cores always
// have one group waiting.
//
// Roofline: 2 M N K operations; a block loads 48 KB for 8.4 M operations, 170 operations a byte
// from L2. Operands come from shared memory at 80 bytes a cycle of the 128 there are. Not measured:
// no GPU yet. Blocks do not share loads (clusters, multicast) and do not overlap their epilogue.
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/int8_linear.cuh"
#include "kernels/cuda/int8_weight.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/mbarrier.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/primitives/wgmma.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kGroup = 4 * kWarp;  // a warpgroup
constexpr int kConsumers = 2;      // warpgroups
constexpr int kThreads = kGroup * (1 + kConsumers);
constexpr int kRows = kWgmmaRows;
constexpr int kOutputs = kWgmmaOutputs;
constexpr int kColumns = 128;  // of a stage
constexpr int kStages = 4;
constexpr int kPanels = kOutputs / kInt8PanelRows;
constexpr int kPanelBytes = kInt8PanelRows * kColumns;
static_assert(kRows == 64 * kConsumers, "a warpgroup has 64 rows");
static_assert(kPanels == kWarp, "a lane copies a panel");
static_assert(kColumns == 128, "a row of x is one row of the swizzle's pattern");

struct Stage {
  int8_t x[kRows][kColumns];           // unit u of row r at u ^ (r % 8)
  int8_t codes[kPanels][kPanelBytes];  // [16-column blocks][8 outputs][16 columns] a panel
};

struct SharedStorage {
  Stage stages[kStages];
  Mbarrier full[kStages];
  Mbarrier empty[kStages];
};
static_assert(sizeof(Stage) % 1024 == 0, "patterns begin at multiples of 1024 bytes");
static_assert(sizeof(SharedStorage) <= 227 * 1024, "a block of sm_90 has no more");

// Starts the copies of stage i, by the 128 threads of the first warpgroup.
RA_DEVICE void LoadStage(const Int8LinearParams& params, int i, Stage& stage, Mbarrier& full) {
  const int column = i * kColumns;
  constexpr int kUnits = kColumns / 16;
#pragma unroll
  for (int j = 0; j < kRows * kUnits / kGroup; ++j) {
    const int row = (ThreadX() + j * kGroup) / kUnits;
    const int unit = ThreadX() % kUnits;
    const int t = BlockX() * kRows + row;
    const bool exists = t < params.y.num_rows;
    const int8_t* from = params.x + (exists ? t * params.x_stride : 0) + column + unit * 16;
    CopyAsync16OrZero(&stage.x[row][(unit ^ row % 8) * 16], from, exists);
  }
  ArriveWhenCopied(full);
  if (WarpIndex() != 0) return;
  if (Lane() == 0) ArriveExpecting(full, kPanels * kPanelBytes);
  SyncWarp();
  // Beyond the last panel the last one once more: those outputs are not stored.
  const int last = params.padded_n / kInt8PanelRows - 1;
  const int wanted = BlockY() * kPanels + Lane();
  const int64_t panel = wanted < last ? wanted : last;
  CopyBulk(stage.codes[Lane()], params.codes + (panel * params.padded_k + column) * kInt8PanelRows,
           kPanelBytes, full);
}

RA_DEVICE void Load(const Int8LinearParams& params, int num_stages, SharedStorage& shared) {
#pragma unroll 1
  for (int i = 0; i < num_stages; ++i) {
    const int slot = i % kStages;
    WaitPhase(shared.empty[slot], (i / kStages + 1) % 2);
    LoadStage(params, i, shared.stages[slot], shared.full[slot]);
  }
}

using Sums = int32_t[kOutputs / 2];

// Sums of 64 rows x 256 outputs over all stages.
RA_DEVICE void Multiply(int num_stages, SharedStorage& shared, Sums& sums) {
  const int first_row = (WarpIndex() / 4 - 1) * 64;
  HoldSums(sums);
#pragma unroll 1
  for (int i = 0; i < num_stages; ++i) {
    const int slot = i % kStages;
    const Stage& stage = shared.stages[slot];
    const uint64_t x = MakeDescriptor(stage.x[first_row], 16, 8 * kColumns, Swizzle::k128Bytes);
    const uint64_t codes = MakeDescriptor(stage.codes, 128, kPanelBytes, Swizzle::kNone);
    WaitPhase(shared.full[slot], i / kStages % 2);
    FenceAsyncProxy();  // x came by cp.async
    WgmmaFence();
#pragma unroll
    for (int step = 0; step < kColumns / 32; ++step) {
      WgmmaS8<kOutputs>(sums, AdvanceDescriptor(x, step * 32),
                        AdvanceDescriptor(codes, step * 32 * kInt8PanelRows), true);
    }
    WgmmaCommit();
    WgmmaWait<1>();  // the stage before is done with
    if (i > 0 && Lane() == 0) Arrive(shared.empty[(i - 1) % kStages]);
  }
  WgmmaWait<0>();
  HoldSums(sums);
}

template <typename Y>
struct alignas(2 * sizeof(Y)) Pair {
  Y values[2];
};

// Sum 4 j + 2 h + e of a thread: row (lane / 4) + 8 h of its warp's 16, output 8 j + 2 (lane % 4) +
// e.
template <typename Y>
RA_DEVICE void Store(const Int8LinearParams& params, const Sums& sums) {
  const bool is_paired = params.y.row_stride % 2 == 0 &&
                         reinterpret_cast<uintptr_t>(params.y.data) % sizeof(Pair<Y>) == 0;
  const int64_t first_row = int64_t{BlockX()} * kRows + (WarpIndex() - 4) * 16 + Lane() / 4;
  const int first_output = BlockY() * kOutputs + Lane() % 4 * 2;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t t = first_row + 8 * h;
    if (t >= params.y.num_rows) return;
    const float scale = ScaleOfRow(params, t);
    Y* row = static_cast<Y*>(params.y.data) + t * params.y.row_stride;
#pragma unroll
    for (int j = 0; j < kOutputs / 8; ++j) {
      const int output = first_output + 8 * j;
      if (output >= params.y.n) continue;
      const int32_t* at = &sums[4 * j + 2 * h];
      const Y first = RoundTo<Y>(OutputOfCodes(params, scale, output, at[0]));
      if (output + 1 >= params.y.n) {
        row[output] = first;
        continue;
      }
      const Y second = RoundTo<Y>(OutputOfCodes(params, scale, output + 1, at[1]));
      if (is_paired) {
        *reinterpret_cast<Pair<Y>*>(row + output) = {first, second};
      } else {
        row[output] = first;
        row[output + 1] = second;
      }
    }
  }
}

template <typename Y>
__global__ void __launch_bounds__(kThreads, 1)
    Int8WgmmaKernel(const __grid_constant__ Int8LinearParams params) {
  if constexpr (kHasWgmma) {
    auto& shared = *DynamicShared<SharedStorage>();
    const int num_stages = params.padded_k / kColumns;
    if (ThreadX() == 0) {
      for (int s = 0; s < kStages; ++s) {
        InitBarrier(shared.full[s], kGroup + 1);
        InitBarrier(shared.empty[s], 4 * kConsumers);
      }
      FenceAsyncProxy();  // bulk copies see them
    }
    SyncThreads();
    if (WarpIndex() < 4) return Load(params, num_stages, shared);
    Sums sums = {};
    Multiply(num_stages, shared, sums);
    Store<Y>(params, sums);
  } else {
    DeviceCheck(false, "wgmma is sm_90a's");  // and never launched elsewhere
  }
}

}  // namespace

void AllowInt8WgmmaLinear() {
  AllowSharedMemory(Int8WgmmaKernel<float>, sizeof(SharedStorage));
  AllowSharedMemory(Int8WgmmaKernel<BFloat16>, sizeof(SharedStorage));
  AllowSharedMemory(Int8WgmmaKernel<Float16>, sizeof(SharedStorage));
}

void Int8WgmmaLinear(const Int8LinearParams& params, DType y_dtype, Stream stream) {
  WithActivation(y_dtype, [&](auto y) {
    Launch(Int8WgmmaKernel<decltype(y)>,
           {.x = NumBlocks(params.y.num_rows, kRows), .y = NumBlocks(params.y.n, kOutputs)},
           {.x = kThreads}, sizeof(SharedStorage), stream, params);
  });
}

}  // namespace runahead::RA_CUDA
