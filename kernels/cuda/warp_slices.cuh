// How the warps of a block share out K in layers of quantized weights: each warp adds up slices of
// its own, in an order that follows from K alone, and the warps' sums meet once, at the end. Blocks
// of kSliceThreads.
//
//                 K: | 128 | 128 | 128 | 128 | 128 | ...
//                      w0    w1    w2    w3    w0            each warp: sums of all outputs
//                                                            y = ((w0 + w1) + w2) + w3
#pragma once

#include "core/tensor_view.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/thread.h"

namespace runahead::RA_CUDA {

inline constexpr int kSliceWarps = 4;
inline constexpr int kSliceThreads = kSliceWarps * kWarp;
inline constexpr int kSlice = 128;  // columns a warp takes at a time
inline constexpr int kStageK = 64;  // columns a warp loads at a time

// The columns of a warp's stage i.
RA_DEVICE int FirstColumn(int i) {
  return (WarpIndex() + i / 2 * kSliceWarps) * kSlice + i % 2 * kStageK;
}
RA_DEVICE int NumStages(int padded_k) {
  const int slices = padded_k / kSlice;
  return slices <= WarpIndex() ? 0 : ((slices - WarpIndex() - 1) / kSliceWarps + 1) * 2;
}

// A warp's stages through its own ring in shared memory: `load(i, stage)` starts the copies of
// stage i as one group of asynchronous copies, an empty one beyond the last; `use(i, stage)` meets
// it when it is there. No barrier but the warp's.
template <int kStages, typename Stage, typename Load, typename Use>
RA_DEVICE void ForStages(Stage (&ring)[kStages], int num_stages, Load load, Use use) {
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) load(i, ring[i]);
#pragma unroll 1
  for (int i = 0; i < num_stages; ++i) {
    WaitAsync<kStages - 2>();
    SyncWarp();  // the stage is there for every lane, and the one before is done with
    load(i + kStages - 1, ring[(i + kStages - 1) % kStages]);
    use(i, ring[i % kStages]);
  }
  WaitAsync<0>();
}

// The outputs of a layer, [M, N].
struct LinearOutput {
  void* data = nullptr;
  int64_t row_stride = 0;
  int num_rows = 0;
  int n = 0;
};

inline LinearOutput MakeLinearOutput(const TensorView& y) {
  return {y.data, y.row_stride, static_cast<int>(y.dim(0)), static_cast<int>(y.RowElements())};
}

// How many blocks of `size` hold `count`.
constexpr int NumBlocks(int count, int size) { return (count + size - 1) / size; }

// A warp's sums of the block's outputs, as mma.sync leaves them in a lane.
template <typename T, int kRows, int kOutputs>
struct WarpSums {
  T values[kRows / 16][kOutputs / 8][4];
};

// Where the warps' sums meet, in shared memory.
template <typename T, int kRows, int kOutputs>
struct SliceSums {
  T values[kSliceWarps][kRows][kOutputs + 4];
};

// Adds the warps' sums in ascending order and stores `finish(row, output, sum)`, rounded once.
// `shared` may lie where stages lay: all threads call when they are done with theirs.
template <typename Y, typename T, int kRows, int kOutputs, typename Finish>
RA_DEVICE void StoreSums(const LinearOutput& y, const WarpSums<T, kRows, kOutputs>& sums,
                         SliceSums<T, kRows, kOutputs>& shared, Finish finish) {
  SyncThreads();
#pragma unroll
  for (int block = 0; block < kRows / 16; ++block) {
#pragma unroll
    for (int output = 0; output < kOutputs / 8; ++output) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shared.values[WarpIndex()][block * 16 + Lane() / 4 + i / 2 * 8]
                     [output * 8 + Lane() % 4 * 2 + i % 2] = sums.values[block][output][i];
      }
    }
  }
  SyncThreads();
  for (int i = ThreadX(); i < kRows * kOutputs; i += kSliceThreads) {
    const int row = i / kOutputs;
    const int column = i % kOutputs;
    const int64_t t = int64_t{BlockX()} * kRows + row;
    const int output = BlockY() * kOutputs + column;
    if (t >= y.num_rows || output >= y.n) continue;
    T sum = shared.values[0][row][column];
#pragma unroll
    for (int warp = 1; warp < kSliceWarps; ++warp) sum += shared.values[warp][row][column];
    static_cast<Y*>(y.data)[t * y.row_stride + output] = RoundTo<Y>(finish(t, output, sum));
  }
}

}  // namespace runahead::RA_CUDA
