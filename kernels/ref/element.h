// Element access for the reference backend: one value or row at a time. Thread-safe.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "core/check.h"
#include "core/dtype.h"
#include "core/tensor_view.h"
#include "kernels/quantized_rows.h"

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
  } else if (dtype == DType::kF16) {
    static_cast<Float16*>(data)[i] = ToFloat16(value);
  } else {
    RA_CHECK(dtype == DType::kBF16, "f32, bf16 or f16");
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

// Element (row, col) of quantized rows: exactly value times scale.
inline double LoadQuantized(const TensorView& view, int64_t row, int64_t col) {
  const int8_t* values = view.Row<int8_t>(row);
  const QuantizedRowLayout layout(view.RowElements(), view.group);
  const int64_t g = view.group == 0 ? 0 : col / view.group;
  float scale = 0;
  std::memcpy(&scale, values + layout.scales_at + 4 * g, sizeof(scale));
  return double{scale} * values[col];
}

// Row `row` of f32, bf16, f16 or quantized rows.
inline std::vector<double> LoadRow(const TensorView& view, int64_t row) {
  std::vector<double> values(static_cast<size_t>(view.RowElements()));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto col = static_cast<int64_t>(i);
    values[i] = view.dtype == DType::kI8 ? LoadQuantized(view, row, col) : Load(view, row, col);
  }
  return values;
}

// One group of a quantized row (kernels/quantized_rows.h).
inline void QuantizeGroup(std::span<const double> x, int8_t* values, float& scale, int32_t& sum) {
  double largest = 0;
  bool is_finite = true;
  for (const double v : x) {
    is_finite = is_finite && std::isfinite(static_cast<float>(v));
    largest = std::fmax(largest, std::abs(v));
  }
  const bool has_values = is_finite && largest > 0x1p-100;
  scale = has_values ? static_cast<float>(largest / 127) : is_finite ? 0.0f : NAN;
  sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    values[i] =
        has_values ? static_cast<int8_t>(std::nearbyint(x[i] * (127 / largest))) : int8_t{0};
    sum += values[i];
  }
}

// Rounds a row of values to what the view holds: f32, bf16, f16 or quantized rows.
inline void StoreRow(const TensorView& view, int64_t row, std::span<const double> x) {
  if (view.dtype != DType::kI8) {
    for (size_t i = 0; i < x.size(); ++i) Store(view, row, static_cast<int64_t>(i), x[i]);
    return;
  }
  const QuantizedRowLayout layout(view.RowElements(), view.group);
  auto* values = view.Row<int8_t>(row);
  std::memset(values, 0, static_cast<size_t>(layout.row_bytes));
  const size_t group = view.group == 0 ? x.size() : static_cast<size_t>(view.group);
  for (size_t g = 0; g < static_cast<size_t>(layout.num_groups); ++g) {
    float scale = 0;
    int32_t sum = 0;
    const size_t begin = g * group;
    QuantizeGroup(x.subspan(begin, std::min(group, x.size() - begin)), values + begin, scale, sum);
    std::memcpy(values + layout.scales_at + 4 * g, &scale, sizeof(scale));
    std::memcpy(values + layout.sums_at + 4 * g, &sum, sizeof(sum));
  }
}

}  // namespace runahead::ref
