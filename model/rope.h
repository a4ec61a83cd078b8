// The rotary position table. Pure functions.
#pragma once

#include <vector>

#include "model/model_config.h"

namespace runahead {

// Angle of each pair per position, D/2 values, scaling applied (linear, or Llama 3's by
// wavelength).
std::vector<double> RopeFrequencies(const ModelConfig& config);

// [num_positions, D] f32: D/2 cosines, then D/2 sines, of each position.
std::vector<float> RopeTable(const ModelConfig& config, int num_positions);

}  // namespace runahead
