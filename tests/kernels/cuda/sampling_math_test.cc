// What the sampling kernels compute with: integer masses, ordered keys and noise, against the
// host's.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cuda/philox.cuh"
#include "kernels/cuda/rank_select.cuh"
#include "kernels/cuda/softmax_mass.cuh"
#include "kernels/philox.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// To 2^-36 relative, and one unit for the last shift.
TEST(SamplingMathTest, MassIsTheExponential) {
  std::mt19937 rng(1);
  for (const float highest : {0.0f, 3.25f, -700.0f, 1e5f}) {
    for (int i = 0; i < 20000; ++i) {
      const float logit = highest - std::uniform_real_distribution<float>(0, 33)(rng);
      const double expected = std::exp(static_cast<double>(logit) - static_cast<double>(highest));
      const double mass = static_cast<double>(cuda_emulated::MassOf(logit, highest)) /
                          static_cast<double>(cuda_emulated::kMassOne);
      EXPECT_NEAR(mass, expected, expected * 0x1p-36 + 0x1p-43) << logit << " of " << highest;
    }
  }
}

TEST(SamplingMathTest, MassOfWhatCannotBeDrawnIsNothing) {
  EXPECT_EQ(cuda_emulated::MassOf(NAN, 1), 0u);
  EXPECT_EQ(cuda_emulated::MassOf(-kInf, 1), 0u);
  EXPECT_EQ(cuda_emulated::MassOf(-kInf, -kInf), 0u);
  EXPECT_EQ(cuda_emulated::MassOf(2.5f, 2.5f), cuda_emulated::kMassOne);
}

TEST(SamplingMathTest, KeysAscendWithValues) {
  const std::vector<float> ascending = {-kInf, -3e38f, -1.0f, -1e-40f, 0.0f, 1e-40f, 1.0f, kInf};
  for (size_t i = 1; i < ascending.size(); ++i) {
    EXPECT_LT(cuda_emulated::OrderedKey(ascending[i - 1]), cuda_emulated::OrderedKey(ascending[i]));
  }
  for (const float value : ascending) {
    EXPECT_EQ(cuda_emulated::KeyToFloat(cuda_emulated::OrderedKey(value)), value);
  }
  EXPECT_EQ(cuda_emulated::OrderedKey(-0.0f), cuda_emulated::OrderedKey(0.0f));
  EXPECT_LT(cuda_emulated::OrderedKey(NAN), cuda_emulated::OrderedKey(-kInf));
  EXPECT_EQ(cuda_emulated::FiniteKey(NAN), 0u);
  EXPECT_EQ(cuda_emulated::FiniteKey(-kInf), 0u);
}

TEST(SamplingMathTest, NoiseIsTheHosts) {
  std::mt19937 rng(2);
  for (int i = 0; i < 1000; ++i) {
    const NoiseKey key = {.seed = rng() * uint64_t{0x123456789},
                          .choice = static_cast<uint32_t>(rng() % 5)};
    const auto position = static_cast<uint32_t>(rng() % 100000);
    const auto group = static_cast<uint32_t>(rng() % 40000);
    const uint64_t mixed = PhiloxKey(key);
    const cuda_emulated::NoiseStream stream = {static_cast<uint32_t>(mixed),
                                               static_cast<uint32_t>(mixed >> 32), position};
    const auto words = cuda_emulated::NoiseOf(stream, 3, group);
    const Philox4 expected = NoiseWords(key, position, NoisePurpose::kResidual, group);
    for (size_t j = 0; j < 4; ++j) {
      EXPECT_EQ(words.x[j], expected[j]);
      EXPECT_EQ(cuda_emulated::Uniform(words.x[j]), UniformOpen(expected[j]));
    }
  }
}

}  // namespace
}  // namespace runahead
