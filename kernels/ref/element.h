// Element access for the reference backend: one value at a time, as f32. Thread-safe.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "core/dtype.h"
#include "core/tensor_view.h"

namespace runahead::ref {

// Element `i` of memory of `dtype`.
inline float LoadAt(const void* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kF32:
      return static_cast<const float*>(data)[i];
    case DType::kBF16:
      return ToFloat(static_cast<const BFloat16*>(data)[i]);
    case DType::kF16:
      return ToFloat(static_cast<const Float16*>(data)[i]);
    default:
      RA_CHECK(false, "a float dtype");
      return 0;
  }
}

inline void StoreAt(void* data, DType dtype, int64_t i, float value) {
  if (dtype == DType::kF32) {
    static_cast<float*>(data)[i] = value;
  } else {
    RA_CHECK(dtype == DType::kBF16, "f32 or bf16");
    static_cast<BFloat16*>(data)[i] = ToBFloat16(value);
  }
}

// Element (row, col) of a view read as a matrix.
inline float Load(const TensorView& view, int64_t row, int64_t col) {
  return LoadAt(view.data, view.dtype, row * view.row_stride + col);
}

inline void Store(const TensorView& view, int64_t row, int64_t col, double value) {
  StoreAt(view.data, view.dtype, row * view.row_stride + col, static_cast<float>(value));
}

}  // namespace runahead::ref
