// Linear weights as the cpu backend keeps them, and the op that reads them. Engine thread only;
// weights are immutable.
//
// W[N, K] is cut into panels of 32 output rows, each panel one contiguous stream of 128-byte steps:
//
//   bf16:  step j of panel p = | W[32p,2j] W[32p,2j+1] | W[32p+1,2j] W[32p+1,2j+1] | ... |
//   W[32p+31,2j] W[32p+31,2j+1] | f32:   step k of panel p = | W[32p,k] | W[32p+1,k] | ... |
//   W[32p+31,k] |
//
// so that one load holds the same k of 8 or 16 outputs, no sum ever crosses lanes, and every output
// adds its products in the order of k for any number of rows. Rows beyond N and the odd last k are
// zero. All ISAs share the layout.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace runahead::cpu {

// Packs with the threads that will read, each its own panels, so that its memory lies near it.
std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical, ThreadPool& pool);

// bytes() of such a weight, without packing one.
int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format);

// y = x W^T + b for a weight of PackLinear.
void Linear(const LinearArgs& args, const KernelTable& kernels, ThreadPool& pool);

}  // namespace runahead::cpu
