#include "tests/cuda_emulator/half_math.h"

#include <bit>
#include <cmath>

namespace runahead::emulator {
namespace {

constexpr uint16_t kNan = 0x7fff;

// Bits of `value` in a format of kMantissa stored bits and a smallest normal exponent of kMinExp.
template <int kMantissa, int kMinExponent>
uint16_t Round(double value) {
  if (std::isnan(value)) return kNan;
  constexpr int kBias = 1 - kMinExponent;
  constexpr uint32_t kInfinity = (2u * kBias + 1) << kMantissa;
  const uint32_t sign = std::signbit(value) ? 0x8000u : 0;
  const double magnitude = std::abs(value);
  if (std::isinf(magnitude)) return static_cast<uint16_t>(sign | kInfinity);
  if (magnitude == 0) return static_cast<uint16_t>(sign);
  int exponent = std::ilogb(magnitude);
  if (exponent < kMinExponent) exponent = kMinExponent;
  // In units in the last place, so that rounding is to an integer: 2^kMantissa and more for
  // normals.
  const double units = std::nearbyint(std::ldexp(magnitude, kMantissa - exponent));
  // Adding carries into the exponent by itself; a subnormal has exponent 0 and no implicit one.
  const auto base = static_cast<uint32_t>(exponent - kMinExponent) << kMantissa;
  const uint64_t bits = base + static_cast<uint64_t>(units);
  return static_cast<uint16_t>(sign |
                               (bits >= kInfinity ? kInfinity : static_cast<uint32_t>(bits)));
}

// a b + c, where a b is exact: what a double cannot hold of the sum is kept as a sticky last bit
// ("round to odd", Boldo and Melquiond 2008), so that rounding once more is as rounding once.
double FmaToOdd(double a, double b, double c) {
  const double product = a * b;
  const double sum = product + c;
  if (!std::isfinite(sum)) return sum;
  const double back = sum - product;
  const double error = (product - (sum - back)) + (c - back);
  if (error == 0 || (std::bit_cast<uint64_t>(sum) & 1u) != 0) return sum;
  return std::nextafter(sum, error > 0 ? INFINITY : -INFINITY);
}

float BFloat16ToFloat(uint32_t bits) { return std::bit_cast<float>(bits << 16); }

}  // namespace

float HalfToFloat(uint16_t half) {
  const uint32_t bits = half;
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // Moves the exponent by a multiplication, which also makes subnormals right.
  const float magnitude = std::bit_cast<float>(rest << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t RoundToF16(double value) { return Round<10, -14>(value); }
uint16_t RoundToBF16(double value) { return Round<7, -126>(value); }

uint32_t FmaF16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const auto at = [&](uint32_t pair) {
      return static_cast<double>(HalfToFloat(static_cast<uint16_t>(pair >> shift)));
    };
    result |= static_cast<uint32_t>(RoundToF16(FmaToOdd(at(a), at(b), at(c)))) << shift;
  }
  return result;
}

uint32_t FmaBF16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const auto at = [&](uint32_t pair) {
      return static_cast<double>(BFloat16ToFloat(pair >> shift & 0xffffu));
    };
    result |= static_cast<uint32_t>(RoundToBF16(FmaToOdd(at(a), at(b), at(c)))) << shift;
  }
  return result;
}

}  // namespace runahead::emulator
