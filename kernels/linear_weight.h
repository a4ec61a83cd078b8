// Linear layers as the loader hands them over and as the backend keeps them. Immutable once packed.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor_view.h"

namespace runahead {

enum class WeightType : uint8_t { kF32, kBF16, kF16, kInt8, kInt4 };

// How the backend should store a weight.
struct WeightFormat {
  WeightType type = WeightType::kBF16;
  // kInt4: 32, 64 or 128 elements of K share a scale. Else 0: kInt8 has one scale an output.
  int group = 0;
  bool has_zero_points = false;  // kInt4 alone: one a group
  // kInt8 alone: rows stay in 16 bits (W8A16) where the backend has such kernels (CUDA); elsewhere,
  // and without it, they are quantized by row (W8A8).
  bool keeps_activations = false;

  bool operator==(const WeightFormat&) const = default;
  // Whether a matrix quantized for `other` serves this format as it is.
  bool HasCodesOf(WeightFormat other) const {
    other.keeps_activations = keeps_activations;
    return *this == other;
  }
  bool is_quantized() const { return type == WeightType::kInt8 || type == WeightType::kInt4; }
  // What weights that are not quantized, and rows beside them, are in.
  DType dtype() const {
    return type == WeightType::kF32   ? DType::kF32
           : type == WeightType::kF16 ? DType::kF16
                                      : DType::kBF16;
  }

  static const WeightFormat kF32;
  static const WeightFormat kBF16;
  static const WeightFormat kF16;
  static const WeightFormat kInt8;
  static const WeightFormat kInt8A16;
  static const WeightFormat kInt4;  // groups of 128, symmetric
};
inline constexpr WeightFormat WeightFormat::kF32{WeightType::kF32, 0, false, false};
inline constexpr WeightFormat WeightFormat::kBF16{WeightType::kBF16, 0, false, false};
inline constexpr WeightFormat WeightFormat::kF16{WeightType::kF16, 0, false, false};
inline constexpr WeightFormat WeightFormat::kInt8{WeightType::kInt8, 0, false, false};
inline constexpr WeightFormat WeightFormat::kInt8A16{WeightType::kInt8, 0, false, true};
inline constexpr WeightFormat WeightFormat::kInt4{WeightType::kInt4, 128, false, false};

// A quantized W[N, K] in the canonical form of its format, which is also how compressed-tensors
// stores it:
//
//   int8: w[n, k] = codes[n, k] * scales[n, 0]
//   int4: w[n, k] = (code(n, k) - zero_points[n, k / group]) * scales[n, k / group], codes 0..15,
//         two a byte:  byte j of a row = | column 2j + 1 (high nibble) | column 2j (low nibble) |
struct QuantizedMatrix {
  TensorView codes;   // int8: [N, K] i8; int4: [N, ceil(K / 2)] u8, rows row_stride bytes apart
  TensorView scales;  // [N, ceil(K / group)] bf16, f16 or f32; int8: [N, 1]
  TensorView zero_points;  // int4: [N, ceil(K / group)] u8, 0..15; data null: 8 throughout
  int64_t k = 0;
};

// A canonical linear layer y[N] = W[N, K] x[K] + b[N]. W may come in parts stacked along N (q, k
// and v; gate and up), so that fused layers need no concatenated copy. All memory is borrowed for
// the call.
struct HostLinear {
  // Either: each [N_i, K], f32, f16 or bf16, row-major; `format` is kF32, kBF16 or kF16
  // (DeviceInfo::has_f16).
  std::span<const TensorView> parts = {};
  // Or: each [N_i, K] in the canonical form of `format`, kInt8 or kInt4.
  std::span<const QuantizedMatrix> quantized = {};
  // Empty, or one [N_i] per part (data null where a part has none).
  std::span<const TensorView> biases = {};
  WeightFormat format = WeightFormat::kBF16;
  // Of a quantized layer that takes 16-bit rows: bf16, or f16 where the backend has it.
  DType rows = DType::kBF16;
};

// What the op before a linear layer must put out for it.
struct InputFormat {
  DType dtype = DType::kBF16;  // f32, bf16 or f16 rows [T, K], or i8: quantized rows
  // i8 (kernels/quantized_rows.h): elements that share a scale; 0: the whole row.
  int group = 0;
};

// A packed weight in the layout of the backend that made it; only that backend reads it.
class LinearWeight {
 public:
  virtual ~LinearWeight() = default;

  virtual InputFormat input_format() const = 0;
  virtual int64_t bytes() const = 0;  // resident bytes, bias included

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }

 protected:
  LinearWeight(int64_t n, int64_t k) : n_(n), k_(k) {}

 private:
  int64_t n_;
  int64_t k_;
};

}  // namespace runahead
