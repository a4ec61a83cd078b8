// Quantized weights of a checkpoint (compressed-tensors) as backends take them. Pure functions of
// its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/linear_weight.h"
#include "model/quantization_config.h"
#include "model/safetensors.h"

namespace runahead {

// A weight in canonical form: views into the checkpoint's mapping, or into the copies where the
// file stores something in another form.
struct HostQuantized {
  QuantizedMatrix matrix;
  WeightFormat format;
  std::vector<uint8_t> codes = {};
  std::vector<char> scales = {};
  std::vector<uint8_t> zero_points = {};
};

// The names of all tensors that a module in that form may have.
std::vector<std::string> QuantizedTensorNames(const std::string& module, const StoredFormat& form);

// By the headers alone: whether the tensors of a module's weight [n, k] are there, in the shapes
// and types of the form.
Status CheckQuantized(const Checkpoint& checkpoint, const std::string& module, int64_t n, int64_t k,
                      const StoredFormat& form);

// The weight [n, k] of a module that passed CheckQuantized. The result must not outlive the
// checkpoint. kInvalidArgument where values contradict the headers (weight_shape, zero points).
Result<HostQuantized> ReadQuantized(const Checkpoint& checkpoint, const std::string& module,
                                    int64_t n, int64_t k, const StoredFormat& form);

}  // namespace runahead
