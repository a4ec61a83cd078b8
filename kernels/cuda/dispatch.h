// From a dtype known at run time to a template's type. Pure functions.
#pragma once

#include "core/check.h"
#include "core/dtype.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// Calls f(T()) with T a 16-bit float.
template <typename F>
void WithHalf(DType dtype, F f) {
  if (dtype == DType::kF16) return f(Float16());
  RA_CHECK(dtype == DType::kBF16, "bf16 or f16");
  f(BFloat16());
}

// The same, or float.
template <typename F>
void WithActivation(DType dtype, F f) {
  if (dtype == DType::kF32) return f(float());
  WithHalf(dtype, f);
}

// WithActivation, or int8_t for quantized rows.
template <typename F>
void WithRows(DType dtype, F f) {
  if (dtype == DType::kI8) return f(int8_t());
  WithActivation(dtype, f);
}

}  // namespace runahead::RA_CUDA
