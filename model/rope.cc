#include "model/rope.h"

#include <cmath>
#include <numbers>

namespace runahead {
namespace {

// Long waves are stretched by the factor, short ones kept, those between blended (Llama 3.1's
// apply_scaling; Hugging Face calls it "llama3").
double Llama3Frequency(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double original = scaling.original_max_positions;
  if (wavelength < original / scaling.high_freq_factor) return frequency;
  if (wavelength > original / scaling.low_freq_factor) return frequency / scaling.factor;
  const double smooth = (original / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

}  // namespace

std::vector<double> RopeFrequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  for (int i = 0; i < config.head_dim / 2; ++i) {
    const double frequency = std::pow(config.rope_theta, -2.0 * i / config.head_dim);
    switch (config.rope_scaling.kind) {
      case RopeScalingKind::kNone:
        frequencies.push_back(frequency);
        break;
      case RopeScalingKind::kLinear:
        frequencies.push_back(frequency / config.rope_scaling.factor);
        break;
      case RopeScalingKind::kLlama3:
        frequencies.push_back(Llama3Frequency(frequency, config.rope_scaling));
        break;
    }
  }
  return frequencies;
}

std::vector<float> RopeTable(const ModelConfig& config, int num_positions) {
  const std::vector<double> frequencies = RopeFrequencies(config);
  const size_t half = frequencies.size();
  std::vector<float> table(static_cast<size_t>(num_positions) * 2 * half);
  for (size_t p = 0; p < static_cast<size_t>(num_positions); ++p) {
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * frequencies[i];
      table[p * 2 * half + i] = static_cast<float>(std::cos(angle));
      table[p * 2 * half + half + i] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace runahead
