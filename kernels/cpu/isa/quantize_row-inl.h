// Rows into quantized rows (kernels/quantized_rows.h), as the last step of whatever computes them:
// the values of a group are made once, in the first-level cache, and rounded from there. Included
// by isa/*.cc alone.
#pragma once

#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {

// Values of a group held at once; a longer group is made twice, a piece at a time.
inline constexpr int64_t kHeldValues = 16384;
// A group without a magnitude above this is zeros: the inverse of its scale would leave f32.
inline constexpr float kLeastQuantized = 0x1p-100f;

// The largest magnitude of values [0, n), as bits of a positive f32, so that a NaN is larger than
// an infinity and both larger than any number.
HWY_INLINE uint32_t LargestBits(const float* values, int64_t n) {
  const DU du;
  auto largest = hn::Zero(du);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(DF(), values + i));
    largest = hn::Max(largest, hn::And(bits, hn::Set(du, 0x7FFFFFFFu)));
  }
  uint32_t most = hn::GetLane(hn::MaxOfLanes(du, largest));
  for (; i < n; ++i) {
    uint32_t bits = 0;
    __builtin_memcpy(&bits, values + i, 4);
    bits &= 0x7FFFFFFFu;
    most = bits > most ? bits : most;
  }
  return most;
}

// values[i] * inverse to nearest even as i8, for magnitudes up to 127; returns their sum.
HWY_INLINE int32_t RoundValues(const float* values, int64_t n, float inverse, int8_t* out) {
  int32_t sum = 0;
  const hn::RebindToSigned<DF> di;
  auto sums = hn::Zero(di);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto scaled = hn::Mul(hn::LoadU(DF(), values + i), hn::Set(DF(), inverse));
    const auto rounded = hn::NearestInt(scaled);
    sums = hn::Add(sums, rounded);
    const hn::Rebind<int8_t, DF> d8;
    hn::StoreU(hn::DemoteTo(d8, rounded), d8, out + i);
  }
  sum = hn::GetLane(hn::SumOfLanes(di, sums));
  for (; i < n; ++i) {
    const auto rounded = static_cast<int32_t>(__builtin_nearbyintf(values[i] * inverse));
    out[i] = static_cast<int8_t>(rounded);
    sum += rounded;
  }
  return sum;
}

// Groups one after another: `make(begin, end, held)` puts values [begin, end) of the row into
// held[0..].
template <class Make>
HWY_INLINE void QuantizeRow(const RowOut& to, int64_t width, const Make& make) {
  HWY_ALIGN float held[kHeldValues];
  auto* out = static_cast<int8_t*>(to.data);
  const int64_t num_groups = to.sums - reinterpret_cast<int32_t*>(to.scales);
  for (int64_t g = 0; g < num_groups; ++g) {
    const int64_t begin = g * to.group;
    const int64_t end = begin + to.group < width ? begin + to.group : width;
    const bool is_held = end - begin <= kHeldValues;
    uint32_t largest_bits = 0;
    for (int64_t at = begin; at < end; at += kHeldValues) {
      const int64_t stop = at + kHeldValues < end ? at + kHeldValues : end;
      make(at, stop, held);
      const uint32_t bits = LargestBits(held, stop - at);
      largest_bits = bits > largest_bits ? bits : largest_bits;
    }
    float largest = 0;
    __builtin_memcpy(&largest, &largest_bits, 4);
    const bool is_finite = largest_bits < 0x7F800000u;
    const bool has_values = is_finite && largest > kLeastQuantized;
    to.scales[g] = has_values ? largest / 127.0f : is_finite ? 0.0f : __builtin_nanf("");
    to.sums[g] = 0;
    if (!has_values) {
      __builtin_memset(out + begin, 0, static_cast<size_t>(end - begin));
      continue;
    }
    const float inverse = 127.0f / largest;
    for (int64_t at = begin; at < end; at += kHeldValues) {
      const int64_t stop = at + kHeldValues < end ? at + kHeldValues : end;
      if (!is_held) make(at, stop, held);
      to.sums[g] += RoundValues(held, stop - at, inverse, out + at);
    }
  }
  char* padding = static_cast<char*>(to.data) + width;
  __builtin_memset(padding, 0, static_cast<size_t>(reinterpret_cast<char*>(to.scales) - padding));
  char* tail = reinterpret_cast<char*>(to.sums + num_groups);
  __builtin_memset(tail, 0, static_cast<size_t>(static_cast<char*>(to.end) - tail));
}

// `value(d, i)` gives the values from column i on, in vectors of tag d.
template <class Value>
HWY_INLINE void StoreValues(const RowOut& to, int64_t width, const Value& value) {
  if (to.scales == nullptr) {
    ForLanes(width,
             [&](auto d, int64_t i) HWY_ATTR { StoreRow(d, value(d, i), to.data, to.is_bf16, i); });
    return;
  }
  QuantizeRow(to, width, [&](int64_t begin, int64_t end, float* held) HWY_ATTR {
    ForLanes(end - begin,
             [&](auto d, int64_t i) HWY_ATTR { hn::StoreU(value(d, begin + i), d, held + i); });
  });
}

}  // namespace runahead::cpu::RA_ISA
