#include "model/rope.h"

#include <cmath>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(RopeTest, FrequenciesFallFromOneByTheta) {
  const auto frequencies = RopeFrequencies({.head_dim = 8, .rope_theta = 10000});
  ASSERT_EQ(frequencies.size(), 4u);
  EXPECT_DOUBLE_EQ(frequencies[0], 1);
  EXPECT_NEAR(frequencies[1], 0.1, 1e-15);
  EXPECT_NEAR(frequencies[3], 0.001, 1e-15);
}

TEST(RopeTest, LinearScalingStretchesEveryWave) {
  ModelConfig config = {.head_dim = 4};
  config.rope_scaling = {.kind = RopeScalingKind::kLinear, .factor = 4};
  EXPECT_DOUBLE_EQ(RopeFrequencies(config)[0], 0.25);
  EXPECT_NEAR(RopeFrequencies(config)[1], 0.0025, 1e-15);
}

// Llama 3.1's numbers: wavelengths below 8192 / 4 stay, above 8192 / 1 are stretched 8 times, and
// between the two the result lies between.
TEST(RopeTest, Llama3ScalingDependsOnTheWavelength) {
  ModelConfig config = {.head_dim = 128, .rope_theta = 500000};
  const auto plain = RopeFrequencies(config);
  config.rope_scaling = {.kind = RopeScalingKind::kLlama3,
                         .factor = 8,
                         .low_freq_factor = 1,
                         .high_freq_factor = 4,
                         .original_max_positions = 8192};
  const auto scaled = RopeFrequencies(config);
  int num_between = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::acos(-1.0) / plain[i];
    const double ratio = plain[i] / scaled[i];
    if (wavelength < 2048) {
      EXPECT_DOUBLE_EQ(ratio, 1);
    } else if (wavelength > 8192) {
      EXPECT_NEAR(ratio, 8, 1e-12);
    } else {
      EXPECT_GT(ratio, 1);
      EXPECT_LT(ratio, 8);
      ++num_between;
    }
  }
  EXPECT_GT(num_between, 0);
}

TEST(RopeTest, TableHoldsCosinesThenSines) {
  const auto table = RopeTable({.head_dim = 4, .rope_theta = 100}, 3);
  ASSERT_EQ(table.size(), 12u);
  EXPECT_EQ(table[0], 1);
  EXPECT_EQ(table[2], 0);
  EXPECT_FLOAT_EQ(table[8], std::cos(2.0f));
  EXPECT_FLOAT_EQ(table[9], std::cos(0.2f));
  EXPECT_FLOAT_EQ(table[10], std::sin(2.0f));
  EXPECT_FLOAT_EQ(table[11], std::sin(0.2f));
}

}  // namespace
}  // namespace runahead
