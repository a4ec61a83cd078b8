// Rows of tensors as the kernels of isa/ take them. Pure functions; thread-safe.
#pragma once

#include "core/tensor_view.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/quantized_rows.h"

namespace runahead::cpu {

// A row of a view from column `col` on (0 for quantized rows, which are one piece).
inline RowIn In(const TensorView& view, int64_t row, int64_t col = 0) {
  char* data =
      static_cast<char*>(view.data) + (row * view.row_stride + col) * DTypeBytes(view.dtype);
  if (view.dtype != DType::kI8) return {data, view.dtype == DType::kBF16};
  const int64_t k = view.RowElements();
  const QuantizedRowLayout layout(k, view.group);
  return {.data = data,
          .scales = reinterpret_cast<const float*>(data + layout.scales_at),
          .group = view.group == 0 ? k : view.group};
}

inline RowOut Out(const TensorView& view, int64_t row) {
  char* data = static_cast<char*>(view.data) + row * view.row_stride * DTypeBytes(view.dtype);
  if (view.dtype != DType::kI8) return {data, view.dtype == DType::kBF16};
  const int64_t k = view.RowElements();
  const QuantizedRowLayout layout(k, view.group);
  return {.data = data,
          .scales = reinterpret_cast<float*>(data + layout.scales_at),
          .sums = reinterpret_cast<int32_t*>(data + layout.sums_at),
          .end = data + layout.row_bytes,
          .group = view.group == 0 ? k : view.group};
}

}  // namespace runahead::cpu
