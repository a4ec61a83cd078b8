// Approximate functions of one instruction. Exact ones are C's own (sqrtf and division are rounded
// as IEEE says on both sides; expf is within 2 units in the last place).
#pragma once

#include <math.h>

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// ex2.approx.ftz.f32: 2^x within 2 units in the last place; results below 2^-126 are 0.
RA_DEVICE float Exp2Approx(float x) {
#if defined(RA_CUDA_EMULATOR)
  return x < -126.0f ? 0.0f : exp2f(x);
#else
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

// fma.rn.f32, which nothing else contracts to: kernels are compiled without contraction.
RA_DEVICE float Fma(float a, float b, float c) { return fmaf(a, b, c); }

}  // namespace runahead::RA_CUDA
