// What every kernel of this folder shares: vector types, bf16 as pairs, exp and log. Included by
// isa/*.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

#ifndef RA_ISA
#error "built once per instruction set with RA_ISA naming its namespace"
#endif

#define RA_UNROLL _Pragma("GCC unroll 16")
#define RA_UNROLL24 _Pragma("GCC unroll 24")

namespace runahead::cpu::RA_ISA {

namespace hn = hwy::HWY_NAMESPACE;

// Lanes of a full f32 vector: 4, 8 or 16.
inline constexpr int kLanes = HWY_MAX_BYTES / 4;

template <int kNum>
using TagF = hn::CappedTag<float, kNum>;
template <class D>
using TagU = hn::RebindToUnsigned<D>;
using DF = TagF<kLanes>;
using DU = TagU<DF>;
template <int kNum>
using VecF = hn::Vec<TagF<kNum>>;
template <int kNum>
using VecU = hn::Vec<TagU<TagF<kNum>>>;

// acc + w.even * x.even + w.odd * x.odd, where each 32-bit lane holds a pair of bf16, even below
// odd.
template <class D, class VF = hn::Vec<D>, class VU = hn::Vec<TagU<D>>>
HWY_INLINE VF DotPair([[maybe_unused]] D d, VF acc, VU w, VU x) {
#if defined(__AVX512BF16__)
  if constexpr (hn::MaxLanes(D()) == 16) {
    return VF{_mm512_dpbf16_ps(acc.raw, (__m512bh)w.raw, (__m512bh)x.raw)};
  } else if constexpr (hn::MaxLanes(D()) == 8) {
    return VF{_mm256_dpbf16_ps(acc.raw, (__m256bh)w.raw, (__m256bh)x.raw)};
  } else {
    return VF{_mm_dpbf16_ps(acc.raw, (__m128bh)w.raw, (__m128bh)x.raw)};
  }
#else
  const TagU<D> du;
  const VU high = hn::Set(du, 0xFFFF0000u);
  const VF even =
      hn::MulAdd(hn::BitCast(d, hn::ShiftLeft<16>(w)), hn::BitCast(d, hn::ShiftLeft<16>(x)), acc);
  return hn::MulAdd(hn::BitCast(d, hn::And(w, high)), hn::BitCast(d, hn::And(x, high)), even);
#endif
}

// f32 to bf16 in the low half of each lane: to nearest even, NaN stays NaN (as core's ToBFloat16).
template <class D>
HWY_INLINE hn::Vec<TagU<D>> RoundToBf16(D /*d*/, hn::Vec<D> v) {
  const TagU<D> du;
  const auto bits = hn::BitCast(du, v);
  const auto lsb = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(lsb, hn::Set(du, 0x7FFF))));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded);
}

// Softmax weights as bf16: never negative, NaN stays NaN; where the instruction exists it flushes
// subnormals to 0.
template <class D>
HWY_INLINE void StoreWeights(D d, hn::Vec<D> v, void* data, int64_t i) {
#if defined(__AVX512BF16__)
  if constexpr (hn::MaxLanes(D()) == 16) {
    const __m256bh half = _mm512_cvtneps_pbh(v.raw);
    __builtin_memcpy(static_cast<uint16_t*>(data) + i, &half, 32);
    return;
  }
#endif
  const hn::Rebind<uint16_t, D> d16;
  hn::StoreU(hn::TruncateTo(d16, RoundToBf16(d, v)), d16, static_cast<uint16_t*>(data) + i);
}

// One value the same way.
HWY_INLINE uint16_t RoundToBf16(float value) {
  uint32_t bits = 0;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

HWY_INLINE float FromBf16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result = 0;
  __builtin_memcpy(&result, &bits, 4);
  return result;
}

// Loads as many f32 as the tag has lanes from element i of an f32 or bf16 row.
template <class D>
HWY_INLINE hn::Vec<D> LoadRow(D d, const void* data, bool is_bf16, int64_t i) {
  if (!is_bf16) return hn::LoadU(d, static_cast<const float*>(data) + i);
  const hn::Rebind<uint16_t, D> d16;
  const auto half = hn::LoadU(d16, static_cast<const uint16_t*>(data) + i);
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(TagU<D>(), half)));
}

template <class D>
HWY_INLINE void StoreRow(D d, hn::Vec<D> v, void* data, bool is_bf16, int64_t i) {
  if (!is_bf16) {
    hn::StoreU(v, d, static_cast<float*>(data) + i);
    return;
  }
  const hn::Rebind<uint16_t, D> d16;
  hn::StoreU(hn::TruncateTo(d16, RoundToBf16(d, v)), d16, static_cast<uint16_t*>(data) + i);
}

// Calls body(tag, i) over [0, n): full vectors, then halves down to one lane, so that the split
// depends on n alone.
template <int kNum, class Body>
HWY_INLINE void ForLanesFrom(int64_t i, int64_t n, const Body& body) {
  for (; i + kNum <= n; i += kNum) body(TagF<kNum>(), i);
  if constexpr (kNum > 1) {
    if (i < n) ForLanesFrom<kNum / 2>(i, n, body);
  }
}
template <class Body>
HWY_INLINE void ForLanes(int64_t n, const Body& body) {
  ForLanesFrom<kLanes>(0, n, body);
}

// v * 2^n for whole n; 0 where that is below the subnormals.
template <class D>
HWY_INLINE hn::Vec<D> ScaleByPowerOfTwo([[maybe_unused]] D d, hn::Vec<D> v, hn::Vec<D> n) {
#if HWY_TARGET <= HWY_AVX3 && defined(__AVX512VL__)
  if constexpr (hn::MaxLanes(D()) == 16) {
    return hn::Vec<D>{_mm512_scalef_ps(v.raw, n.raw)};
  } else if constexpr (hn::MaxLanes(D()) == 8) {
    return hn::Vec<D>{_mm256_scalef_ps(v.raw, n.raw)};
  } else {
    return hn::Vec<D>{_mm_scalef_ps(v.raw, n.raw)};
  }
#else
  const hn::RebindToSigned<D> di;
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  const auto scaled = hn::Mul(v, hn::BitCast(d, exponent));
  return hn::IfThenZeroElse(hn::Lt(n, hn::Set(d, -126.0f)), scaled);
#endif
}

// x, but not below `least`; NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<D> AtLeast(D d, float least, hn::Vec<D> x) {
  const auto low = hn::Set(d, least);
#if HWY_ARCH_ARM
  return hn::IfThenElse(hn::Lt(x, low), low, x);  // Max takes the number beside a NaN
#else
  return hn::Max(low, x);  // in this order it takes x where that is NaN
#endif
}

// e^x for x <= 88: |relative error| <= 2 ulp where e^x is a normal f32; exactly 0 below -104 (and,
// but for AVX-512, below -87.3); NaN stays NaN. x = n ln2 + r, |r| <= ln2 / 2, and e^r by a
// polynomial of degree 6 (Cephes expf's coefficients).
template <class D>
HWY_INLINE hn::Vec<D> Exp(D d, hn::Vec<D> x) {
  const auto clamped = AtLeast(d, -150.0f, x);
  const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504088896341f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  auto p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  return ScaleByPowerOfTwo(d, p, n);
}

// 2^x for x <= 0: |relative error| <= 2 ulp where 2^x is a normal f32; 1 exactly for 0; exactly 0
// below -150 (and, but for AVX-512, below -126); NaN stays NaN. x = n + f, 0 <= f < 1, and 2^f by a
// polynomial of degree 5 that is 1 at 0 (relative error 1.4 x 2^-24).
template <class D>
HWY_INLINE hn::Vec<D> Exp2([[maybe_unused]] D d, hn::Vec<D> x) {
  const auto poly = [&](hn::Vec<D> f) HWY_ATTR {
    auto p = hn::Set(d, 0.001867130515165627f);
    p = hn::MulAdd(p, f, hn::Set(d, 0.009017028845846653f));
    p = hn::MulAdd(p, f, hn::Set(d, 0.05579991266131401f));
    p = hn::MulAdd(p, f, hn::Set(d, 0.24016444385051727f));
    p = hn::MulAdd(p, f, hn::Set(d, 0.6931512951850891f));
    return hn::MulAdd(p, f, hn::Set(d, 1.0f));
  };
#if HWY_TARGET <= HWY_AVX3 && defined(__AVX512VL__)
  // Both instructions take n = floor x from x themselves; f is 0 for an infinity.
  constexpr int kBelow = 0x09;  // x - floor x, without exceptions
  if constexpr (hn::MaxLanes(D()) == 16) {
    const hn::Vec<D> f{_mm512_reduce_ps(x.raw, kBelow)};
    return hn::Vec<D>{_mm512_scalef_ps(poly(f).raw, x.raw)};
  } else if constexpr (hn::MaxLanes(D()) == 8) {
    const hn::Vec<D> f{_mm256_reduce_ps(x.raw, kBelow)};
    return hn::Vec<D>{_mm256_scalef_ps(poly(f).raw, x.raw)};
  } else {
    const hn::Vec<D> f{_mm_reduce_ps(x.raw, kBelow)};
    return hn::Vec<D>{_mm_scalef_ps(poly(f).raw, x.raw)};
  }
#else
  const auto clamped = AtLeast(d, -150.0f, x);
  const auto n = hn::Floor(clamped);
  return ScaleByPowerOfTwo(d, poly(hn::Sub(clamped, n)), n);
#endif
}

// ln x for normal x > 0: |relative error| <= 2 ulp. x = 2^e m, m in [sqrt(1/2), sqrt 2) (Cephes
// logf's coefficients).
template <class D>
HWY_INLINE hn::Vec<D> Log(D d, hn::Vec<D> x) {
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, x);
  // Moves the mantissa's cut from 1 to sqrt(1/2), so that ln is accurate around x = 1.
  const auto shifted = hn::Sub(bits, hn::Set(di, 0x3F3504F3));
  const auto e = hn::ConvertTo(d, hn::ShiftRight<23>(shifted));
  const auto mantissa = hn::Add(hn::And(shifted, hn::Set(di, 0x007FFFFF)), hn::Set(di, 0x3F3504F3));
  const auto m = hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1.0f));
  auto p = hn::Set(d, 7.0376836292e-2f);
  p = hn::MulAdd(p, m, hn::Set(d, -1.1514610310e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, 1.1676998740e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, -1.2420140846e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, 1.4249322787e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, -1.6668057665e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, 2.0000714765e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, -2.4999993993e-1f));
  p = hn::MulAdd(p, m, hn::Set(d, 3.3333331174e-1f));
  const auto square = hn::Mul(m, m);
  auto y = hn::Mul(hn::Mul(p, m), square);
  y = hn::MulAdd(e, hn::Set(d, -2.12194440e-4f), y);
  y = hn::NegMulAdd(square, hn::Set(d, 0.5f), y);
  y = hn::Add(m, y);
  return hn::MulAdd(e, hn::Set(d, 0.693359375f), y);
}

}  // namespace runahead::cpu::RA_ISA
