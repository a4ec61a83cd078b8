// The linear op of the cpu backend: packs weights (packed_weight.h has the layout) and multiplies.
// Engine thread only; weights are immutable.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace runahead::cpu {

// Packs with the threads that will read, each its own panels, so that its memory lies near it.
std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical, ThreadPool& pool);

// bytes() of such a weight, without packing one. INT4 with scales in bf16 or f16: in f32 they take
// 2 bytes more each.
int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format);

// y = x W^T + b for a weight of PackLinear.
void Linear(const LinearArgs& args, const KernelTable& kernels, ThreadPool& pool);

}  // namespace runahead::cpu
