// INT8 dot products of four as each instruction set does them: weights of four bits and of eight,
// times activations in [-127, 127]. All give the same integers. Included by isa/*.cc alone.
//
// A 32-bit lane holds four consecutive k of one output, as bytes:
//
//   sums lane += w[4s] x[4s] + w[4s + 1] x[4s + 1] + w[4s + 2] x[4s + 2] + w[4s + 3] x[4s + 3]
#pragma once

#include "kernels/cpu/isa/simd-inl.h"

// For bodies of Unroll.
#define RA_INLINED __attribute__((always_inline))

// RA_X86(name): the intrinsic of the full vector.
#if HWY_ARCH_X86
#if HWY_MAX_BYTES == 64
#define RA_X86(name) _mm512_##name
#elif HWY_MAX_BYTES == 32
#define RA_X86(name) _mm256_##name
#else
#define RA_X86(name) _mm_##name
#endif
#endif

// One instruction multiplies unsigned weights by signed activations (RA_DOT_UNSIGNED), or both
// signed (RA_DOT_SIGNED); else products are summed in 16 bits first.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__ARM_FEATURE_MATMUL_INT8)
#define RA_DOT_UNSIGNED 1
#else
#define RA_DOT_UNSIGNED 0
#endif
#if !RA_DOT_UNSIGNED && defined(__ARM_FEATURE_DOTPROD)
#define RA_DOT_SIGNED 1
#else
#define RA_DOT_SIGNED 0
#endif

namespace runahead::cpu::RA_ISA {

using DI = hn::RebindToSigned<DF>;
using VecI = hn::Vec<DI>;
using VecBytes = VecU<kLanes>;  // four bytes a lane

// body(0), body(1), .. body(kNum - 1), each index a constant: unlike unrolled loops, whatever the
// compiler's limits, arrays indexed by them are registers.
template <int kValue>
struct Index {
  constexpr operator int() const { return kValue; }
};
template <int kNum, class Body>
HWY_INLINE void Unroll(const Body& body) {
  if constexpr (kNum > 0) {
    Unroll<kNum - 1>(body);
    body(Index<kNum - 1>());
  }
}

// A block of k is 8 steps of four: the most products of INT4 that 16 bits hold (8 x 2 x 15 x 127 =
// 30480).
inline constexpr int kBlockSteps = 8;
inline constexpr int kBlockK = 4 * kBlockSteps;

#if RA_DOT_UNSIGNED || RA_DOT_SIGNED
inline constexpr bool kHasDot = true;
HWY_INLINE VecI Dot(VecI sums, VecBytes w, VecBytes x) {
#if defined(__AVX512VNNI__)
  return VecI{_mm512_dpbusd_epi32(sums.raw, w.raw, x.raw)};
#elif defined(__AVXVNNI__)
  return VecI{_mm256_dpbusd_avx_epi32(sums.raw, w.raw, x.raw)};
#elif RA_DOT_UNSIGNED
  return VecI{vusdotq_s32(sums.raw, vreinterpretq_u8_u32(w.raw), vreinterpretq_s8_u32(x.raw))};
#else
  return VecI{vdotq_s32(sums.raw, vreinterpretq_s8_u32(w.raw), vreinterpretq_s8_u32(x.raw))};
#endif
}
#else
inline constexpr bool kHasDot = false;
// Signed bytes; pairs of products fit 16 bits (2 x 128 x 127 = 32512).
HWY_INLINE VecI Dot(VecI sums, VecBytes w, VecBytes x) {
#if HWY_ARCH_X86
  // maddubs wants one side unsigned: w's sign goes to x.
#if HWY_MAX_BYTES == 64
  const auto signed_x =
      _mm512_mask_sub_epi8(x.raw, _mm512_movepi8_mask(w.raw), _mm512_setzero_si512(), x.raw);
#else
  const auto signed_x = RA_X86(sign_epi8)(x.raw, w.raw);
#endif
  const auto pairs = RA_X86(maddubs_epi16)(RA_X86(abs_epi8)(w.raw), signed_x);
  return VecI{RA_X86(add_epi32)(sums.raw, RA_X86(madd_epi16)(pairs, RA_X86(set1_epi16)(1)))};
#else
  const int8x16_t a = vreinterpretq_s8_u32(w.raw);
  const int8x16_t b = vreinterpretq_s8_u32(x.raw);
  const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
  return VecI{vpadalq_s16(sums.raw, vpaddq_s16(low, vmull_high_s8(a, b)))};
#endif
}
#endif

// What the formats have in common: loading a step of kLanes outputs and of their partners 16
// further in the panel, and adding it to sums.

// Codes 0..15. Where unsigned weights are multiplied, the high nibble stays where it is: the
// partner's sums are 16 times too large, exactly, and its scale makes up for it.
struct Int4Weights {
  static constexpr int kStepBytes = 64;
  static constexpr bool kHighTimes16 = RA_DOT_UNSIGNED == 1;

  static HWY_INLINE void Load(const uint8_t* w, VecBytes& first, VecBytes& partner) {
    const DU d;
    const auto both = hn::LoadU(d, reinterpret_cast<const uint32_t*>(w));
    const auto low = hn::Set(d, 0x0F0F0F0Fu);
    first = hn::And(both, low);
    if constexpr (kHighTimes16) {
      partner = hn::And(both, hn::Set(d, 0xF0F0F0F0u));
    } else {
      partner = hn::And(hn::ShiftRight<4>(both), low);
    }
  }

#if HWY_ARCH_X86 && !RA_DOT_UNSIGNED
  // Pairs of products are summed in 16 bits for a block, then in 32.
  static constexpr bool kHasBlockSums = true;
  static HWY_INLINE VecI Add(VecI part, VecBytes w, VecBytes x) {
    return VecI{RA_X86(add_epi16)(part.raw, RA_X86(maddubs_epi16)(w.raw, x.raw))};
  }
  static HWY_INLINE VecI AddBlockSums(VecI sums, VecI part) {
    return hn::Add(sums, VecI{RA_X86(madd_epi16)(part.raw, RA_X86(set1_epi16)(1))});
  }
#else
  static constexpr bool kHasBlockSums = false;
  static HWY_INLINE VecI Add(VecI sums, VecBytes w, VecBytes x) { return Dot(sums, w, x); }
#endif
};

// Stored as code + 128; signed again where signed weights are multiplied.
struct Int8Weights {
  static constexpr int kStepBytes = 128;

  static HWY_INLINE VecBytes LoadOne(const uint8_t* w) {
    const auto stored = hn::LoadU(DU(), reinterpret_cast<const uint32_t*>(w));
    return RA_DOT_UNSIGNED ? stored : hn::Xor(stored, hn::Set(DU(), 0x80808080u));
  }
  static HWY_INLINE void Load(const uint8_t* w, VecBytes& first, VecBytes& partner) {
    first = LoadOne(w);
    partner = LoadOne(w + 64);
  }

  static constexpr bool kHasBlockSums = false;
  static HWY_INLINE VecI Add(VecI sums, VecBytes w, VecBytes x) { return Dot(sums, w, x); }
};

}  // namespace runahead::cpu::RA_ISA
