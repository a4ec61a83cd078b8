// What row-wise kernels share: single elements, and the sum of squares of an RMS norm, in lanes,
// then across them, then over the tail: an order that depends on the row's width alone. Included by
// isa/*.cc alone.
#pragma once

#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {

HWY_INLINE float LoadOne(const void* data, bool is_bf16, int64_t i) {
  return is_bf16 ? FromBf16(static_cast<const uint16_t*>(data)[i])
                 : static_cast<const float*>(data)[i];
}

// Sum of squares of [0, width).
HWY_INLINE float SumSquares(const void* data, bool is_bf16, int64_t width) {
  const DF d;
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
    const auto a = LoadRow(d, data, is_bf16, i);
    const auto b = LoadRow(d, data, is_bf16, i + kLanes);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < width; ++i) sum += LoadOne(data, is_bf16, i) * LoadOne(data, is_bf16, i);
  return sum;
}

HWY_INLINE float InverseRms(float sum_squares, int64_t width, float eps) {
  return 1.0f / __builtin_sqrtf(sum_squares / static_cast<float>(width) + eps);
}

}  // namespace runahead::cpu::RA_ISA
