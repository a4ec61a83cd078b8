// Matrices of a checkpoint in the format a model wants them in. Start-up thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/linear_weight.h"
#include "kernels/quantize_weights.h"
#include "model/quantized_checkpoint.h"
#include "model/safetensors.h"
#include "model/weight_source.h"

namespace runahead {

// One part of a HostLinear, and the memory it lies in where that is not the source's. Its source
// outlives it. Move-only.
class LoadedMatrix {
 public:
  // The weight [n, k] of `module`. Stored floats are quantized where `format` is, stored codes are
  // taken as they are where their format is `format`, and otherwise turned back into floats first.
  // kInvalidArgument names the module where a weight to be quantized is NaN or infinite.
  static Result<LoadedMatrix> Load(WeightSource& source, const std::string& module, int64_t n,
                                   int64_t k, WeightFormat format, int num_threads);

  // The same, but float values stay floats: for a table that is rounded a piece at a time.
  static Result<LoadedMatrix> Fetch(WeightSource& source, const std::string& module, int64_t n,
                                    int64_t k, WeightFormat format);

  // QuantizeWeights of rows of `module`'s weight, which errors name.
  static Result<OwnedQuantizedMatrix> Quantize(const TensorView& values, const std::string& module,
                                               WeightFormat format, const QuantizeOptions& options);

  LoadedMatrix(LoadedMatrix&&) = default;
  LoadedMatrix& operator=(LoadedMatrix&&) = default;

  bool is_quantized() const { return quantized_.has_value(); }
  const TensorView& values() const { return values_; }              // [n, k], of floats
  const QuantizedMatrix& quantized() const { return *quantized_; }  // of the wanted format

 private:
  LoadedMatrix() = default;
  TensorView values_;
  std::optional<QuantizedMatrix> quantized_;
  // What they point into; vectors keep their place when they move.
  HostTensor tensor_;
  std::optional<HostQuantized> stored_;
  std::vector<float> floats_;
  OwnedQuantizedMatrix rounded_;
};

}  // namespace runahead
