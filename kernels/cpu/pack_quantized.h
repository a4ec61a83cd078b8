// Packs canonical INT4 and INT8 weights into panels. Engine thread only.
#pragma once

#include <memory>

#include "kernels/cpu/packed_weight.h"
#include "kernels/cpu/thread_pool.h"

namespace runahead::cpu {

// canonical.quantized as a packed weight, its bias still zero; each thread packs the panels it will
// read. RA_CHECKs that INT8 sums fit 32 bits (K <= 131072).
std::unique_ptr<PackedWeight> PackQuantized(const HostLinear& canonical, ThreadPool& pool);

}  // namespace runahead::cpu
