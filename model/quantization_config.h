// config.json's quantization_config: which modules of a checkpoint are stored quantized, and how
// (compressed-tensors). Pure functions of its text.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "kernels/linear_weight.h"

namespace runahead {

// How a module's weight lies in the checkpoint. What a backend gets is weight_format().
struct StoredFormat {
  // False: "weight", one i8 an element. True: "weight_packed", i32 words of unsigned codes.
  bool is_packed = true;
  int num_bits = 4;  // 4 (always packed) or 8
  // Elements of a row that share a scale, a multiple of 32; 0: the row; -1: the whole tensor.
  int group = 128;
  bool has_zero_points = false;  // 4 bits alone
  // 8 bits alone: the checkpoint rounds no activations of this module.
  bool keeps_activations = false;

  bool operator==(const StoredFormat&) const = default;
  // 4 bits: the largest group we have that divides the stored one; scales are repeated for it.
  WeightFormat weight_format() const;
};

struct ModuleOfModel {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  bool is_embedding = false;
};

// The modules, of those given, that are stored quantized. `json` is the value of
// quantization_config. A target that is a module's name beats a regular expression, that beats a
// class; among equals the first in alphabetical order counts, and `ignore` beats all, as in
// compressed-tensors. What is not supported is refused by name.
Result<std::map<std::string, StoredFormat>> QuantizedModules(
    std::string_view json, std::span<const ModuleOfModel> modules);

}  // namespace runahead
