// Reads floats of host views while weights are packed. Pure functions.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "core/tensor_view.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// Element i, in units of the view's dtype, of an f32, bf16 or f16 view.
inline float FloatAt(const TensorView& view, int64_t i) {
  switch (view.dtype) {
    case DType::kF32:
      return static_cast<const float*>(view.data)[i];
    case DType::kBF16:
      return runahead::ToFloat(static_cast<const BFloat16*>(view.data)[i]);
    case DType::kF16:
      return runahead::ToFloat(static_cast<const Float16*>(view.data)[i]);
    default:
      RA_CHECK(false, "a float dtype");
      return 0;
  }
}

}  // namespace runahead::RA_CUDA
