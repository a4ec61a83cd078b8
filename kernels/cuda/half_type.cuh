// What kernels of 16-bit rows need to know of their type, BFloat16 or Float16.
#pragma once

#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/matrix.h"

namespace runahead::RA_CUDA {

// Pairs are registers of two values, the first one in the low half.
template <typename T>
struct HalfType;

template <>
struct HalfType<BFloat16> {
  static constexpr uint32_t kOnes = 0x3f803f80u;      // a pair of 1
  static constexpr uint32_t kExponent = 0x7f80u;      // all of it set: not finite
  static constexpr uint32_t kCodeBase = 0x43004300u;  // a pair of 2^7; its last bit is worth 1
};

template <>
struct HalfType<Float16> {
  static constexpr uint32_t kOnes = 0x3c003c00u;
  static constexpr uint32_t kExponent = 0x7c00u;
  static constexpr uint32_t kCodeBase = 0x64006400u;  // a pair of 2^10
};

template <typename T>
inline constexpr bool kIsF16 = false;
template <>
inline constexpr bool kIsF16<Float16> = true;

// Two floats, rounded to nearest even.
template <typename T>
RA_DEVICE uint32_t Pack(float low, float high) {
  if constexpr (kIsF16<T>) {
    return PackF16(low, high);
  } else {
    return PackBF16(low, high);
  }
}

// a * b + c of pairs, rounded once.
template <typename T>
RA_DEVICE uint32_t FmaPair(uint32_t a, uint32_t b, uint32_t c) {
  if constexpr (kIsF16<T>) {
    return FmaF16x2(a, b, c);
  } else {
    return FmaBF16x2(a, b, c);
  }
}

// d[16, 8] += a[16, 16] b[16, 8], sums in f32.
template <typename T>
RA_DEVICE void Mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (kIsF16<T>) {
    MmaF16(d, a, b);
  } else {
    MmaBF16(d, a, b);
  }
}

}  // namespace runahead::RA_CUDA
