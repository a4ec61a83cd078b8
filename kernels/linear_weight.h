// Linear layers as the loader hands them over and as the backend keeps them. Immutable once packed.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor_view.h"

namespace runahead {

// How the backend should store a weight.
enum class WeightFormat : uint8_t {
  kF32,
  kBF16,
};

// A canonical linear layer y[N] = W[N, K] x[K] + b[N]. W may come in parts stacked along N (q, k
// and v; gate and up), so that fused layers need no concatenated copy. All memory is borrowed for
// the call.
struct HostLinear {
  std::span<const TensorView> parts;  // each [N_i, K], f32, f16 or bf16, row-major
  std::span<const TensorView>
      biases;  // empty, or one [N_i] per part (data null where a part has none)
  WeightFormat format = WeightFormat::kBF16;
};

// What the op before a linear layer must put out for it.
struct InputFormat {
  DType dtype = DType::kBF16;  // f32 or bf16 rows [T, K]
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
