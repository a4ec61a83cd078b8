// Sums and maxima over the threads of a block, in an order that depends on its size alone.
#pragma once

#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/primitives/warp.h"

namespace runahead::RA_CUDA {

struct AddOp {
  template <typename T>
  RA_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct MaxOp {
  template <typename T>
  RA_DEVICE T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

// Over the lanes of a full warp, to each of them: a butterfly, so that all lanes hold the same
// bits.
template <typename Op, typename T>
RA_DEVICE T WarpReduce(T value, Op op) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) value = op(value, ShuffleXor(value, step));
  return value;
}

// Partial results of up to 32 warps.
template <typename T>
struct ReduceStorage {
  T partials[kWarp];
};

// Over a block of kThreads threads, to each of them: warps by butterfly, their results in ascending
// order. `storage` may be used again after the caller's next barrier.
template <int kThreads, typename Op, typename T>
RA_DEVICE T BlockReduce(T value, Op op, ReduceStorage<T>& storage) {
  static_assert(kThreads % kWarp == 0 && kThreads <= 1024, "whole warps");
  constexpr int kWarps = kThreads / kWarp;
  value = WarpReduce(value, op);
  if constexpr (kWarps == 1) return value;
  if (Lane() == 0) storage.partials[WarpIndex()] = value;
  SyncThreads();
  T total = storage.partials[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) total = op(total, storage.partials[warp]);
  return total;
}

}  // namespace runahead::RA_CUDA
