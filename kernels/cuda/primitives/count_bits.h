// popc: how many bits are set.
#pragma once

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// popc.b32.
RA_DEVICE int CountBits(uint32_t bits) {
#if defined(RA_CUDA_EMULATOR)
  return __builtin_popcount(bits);
#else
  int count;
  asm("popc.b32 %0, %1;" : "=r"(count) : "r"(bits));
  return count;
#endif
}

}  // namespace runahead::RA_CUDA
