// exp(logit - highest) as an integer, so that sums over a vocabulary have the same bits whatever
// the order in which threads add: top_p borders, accept decisions and log-sums are then the same
// on every device and in the emulator.
#pragma once

#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// A mass of 1 is 2^44: 2^19 tokens sum below 2^64, and what is below e^-30.5 of the best is 0.
inline constexpr int kMassBits = 44;
inline constexpr uint64_t kMassOne = uint64_t{1} << kMassBits;
inline constexpr int kMaxVocab = 1 << 19;

struct PowerTable {
  uint64_t values[256];  // 2^(60 - j / 256)
};

// 2^(-1/256) to the power j by squaring: eight double roundings at most, below 2^-49.
constexpr PowerTable MakePowerTable() {
  double squares[8] = {0.9972960560854701};
  for (int bit = 1; bit < 8; ++bit) squares[bit] = squares[bit - 1] * squares[bit - 1];
  PowerTable table = {};
  for (int j = 0; j < 256; ++j) {
    double power = 1;
    for (int bit = 0; bit < 8; ++bit) power *= (j >> bit & 1) != 0 ? squares[bit] : 1.0;
    table.values[j] = static_cast<uint64_t>(power * 0x1p60);
  }
  return table;
}
__device__ constexpr PowerTable kPowers = MakePowerTable();

// exp(-x), x = distance / 2^40 < 32, relative to kMassOne and truncated. Relative error below
// 2^-36 before the last shift:
//
//   x log2(e) = n + j / 256 + g    exp(-x) = 2^-n 2^(-j/256) (1 - p), p = y - y^2/2 + y^3/6,
//   y = g ln 2 < 0.0028            what is left out, y^4/24, is below 2^-38
RA_DEVICE uint64_t ExpMass(uint64_t distance) {
  constexpr uint64_t kLog2E = 0xb8aa3b295c17f0bcull;  // log2(e) 2^63
  constexpr uint64_t kLn2 = 0xb17217f8u;              // ln(2) 2^32
  const auto t =
      static_cast<uint64_t>((static_cast<unsigned __int128>(distance << 18) * kLog2E) >> 64);
  const int n = static_cast<int>(t >> 57);
  const int j = static_cast<int>(t >> 49 & 255);
  const uint64_t y = (t >> 17 & 0xffffffffu) * kLn2 >> 32;  // 2^40
  const uint64_t y2 = y * y >> 32;                          // 2^48
  const uint64_t y3 = y2 * y >> 32;                         // 2^56
  const uint64_t p = y - (y2 >> 9) + (y3 / 6 >> 16);
  const uint64_t power = kPowers.values[j];
  return (power - ((power >> 29) * p >> 11)) >> (60 - kMassBits + n);
}

// exp(logit - highest) in units of 1 / kMassOne; 0 for a NaN and for what is banned. `highest` is
// no NaN.
RA_DEVICE uint64_t MassOf(float logit, float highest) {
  if (logit == highest) return highest > -INFINITY ? kMassOne : 0;
  const float difference = highest - logit;
  if (!(difference < 31.0f)) return 0;
  // The difference's own rounding error (Knuth's two-sum), which leaves 2^-40 as the only unit.
  const float back = difference - highest;
  const float error = (highest - (difference - back)) + (-logit - back);
  const int64_t distance =
      static_cast<int64_t>(difference * 0x1p40f) + static_cast<int64_t>(error * 0x1p40f);
  return distance <= 0 ? kMassOne : ExpMass(static_cast<uint64_t>(distance));
}

}  // namespace runahead::RA_CUDA
