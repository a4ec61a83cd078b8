// INT8 layers of random codes, for the tests of their kernels. Test thread only.
#pragma once

#include <cstring>

#include "kernels/quantized_rows.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {

// A canonical weight that owns its memory; with a bias.
struct Int8Matrix {
  Int8Matrix(int64_t rows, int64_t columns, std::mt19937& rng) : n(rows), k(columns) {
    for (int64_t i = 0; i < n * k; ++i) codes.push_back(static_cast<int8_t>(rng() % 256 - 128));
    scales = RandomTensor(DType::kF32, {n, 1}, rng, 0.01);
    bias = RandomTensor(DType::kF32, {n}, rng);
  }

  HostLinear canonical(WeightFormat format = WeightFormat::kInt8, DType rows = DType::kBF16) {
    view.codes = TensorView(codes.data(), DType::kI8, {n, k});
    view.scales = scales.view();
    view.k = k;
    bias_view = bias.view();
    HostLinear linear;
    linear.quantized = {&view, 1};
    linear.biases = {&bias_view, 1};
    linear.format = format;
    linear.rows = rows;
    return linear;
  }

  int64_t n;
  int64_t k;
  std::vector<int8_t> codes;
  Tensor scales, bias;
  QuantizedMatrix view;
  TensorView bias_view;
};

// Quantized rows of one scale with any values.
struct QuantizedRows {
  QuantizedRows(int64_t count, int64_t columns, std::mt19937& rng)
      : k(columns), row_bytes(QuantizedRowLayout(columns, 0).row_bytes) {
    bytes.resize(static_cast<size_t>(count * row_bytes));
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t i = 0; i < k; ++i) {
        bytes[static_cast<size_t>(t * row_bytes + i)] = static_cast<int8_t>(rng() % 255 - 127);
      }
      SetScale(t, std::uniform_real_distribution<float>(0.5f, 1.5f)(rng) / 127);
    }
  }
  void SetScale(int64_t t, float scale) {
    std::memcpy(&bytes[static_cast<size_t>(t * row_bytes + QuantizedRowLayout(k, 0).scales_at)],
                &scale, 4);
  }
  float scale(int64_t t) const {
    float scale = 0;
    std::memcpy(&scale,
                &bytes[static_cast<size_t>(t * row_bytes + QuantizedRowLayout(k, 0).scales_at)], 4);
    return scale;
  }
  TensorView view(int64_t begin, int64_t count) {
    return RowsIn({DType::kI8, 0}, bytes.data() + begin * row_bytes, count, k);
  }

  int64_t k;
  int64_t row_bytes;
  std::vector<int8_t> bytes;
};

}  // namespace runahead
