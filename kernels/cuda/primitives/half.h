// 16-bit floats: conversion with IEEE rounding, and arithmetic on pairs in one register (low half
// first). A NaN result is 0x7fff.
#pragma once

#include "core/dtype.h"
#include "kernels/cuda/primitives/platform.h"
#if defined(RA_CUDA_EMULATOR)
#include "tests/cuda_emulator/half_math.h"
#endif

namespace runahead::RA_CUDA {

RA_DEVICE float BitsToFloat(uint32_t bits) {
#if defined(RA_CUDA_EMULATOR)
  return std::bit_cast<float>(bits);
#else
  return __uint_as_float(bits);
#endif
}
RA_DEVICE uint32_t FloatToBits(float value) {
#if defined(RA_CUDA_EMULATOR)
  return std::bit_cast<uint32_t>(value);
#else
  return __float_as_uint(value);
#endif
}

// Exact.
RA_DEVICE float ToF32(float value) { return value; }
RA_DEVICE float ToF32(BFloat16 value) {
  return BitsToFloat(static_cast<uint32_t>(value.bits) << 16);
}
RA_DEVICE float ToF32(Float16 value) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::HalfToFloat(value.bits);
#else
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#endif
}
RA_DEVICE float LowBF16(uint32_t pair) { return BitsToFloat(pair << 16); }
RA_DEVICE float HighBF16(uint32_t pair) { return BitsToFloat(pair & 0xffff0000u); }

// To nearest, ties to even.
template <typename T>
RA_DEVICE T RoundTo(float value);
template <>
RA_DEVICE float RoundTo<float>(float value) {
  return value;
}
template <>
RA_DEVICE BFloat16 RoundTo<BFloat16>(float value) {
#if defined(RA_CUDA_EMULATOR)
  return {emulator::RoundToBF16(static_cast<double>(value))};
#else
  BFloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#endif
}
template <>
RA_DEVICE Float16 RoundTo<Float16>(float value) {
#if defined(RA_CUDA_EMULATOR)
  return {emulator::RoundToF16(static_cast<double>(value))};
#else
  Float16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#endif
}
// cvt.rn.bf16x2.f32: two floats into one register.
RA_DEVICE uint32_t PackBF16(float low, float high) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::RoundToBF16(static_cast<double>(low)) |
         static_cast<uint32_t>(emulator::RoundToBF16(static_cast<double>(high))) << 16;
#else
  uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#endif
}
// cvt.rn.f16x2.f32.
RA_DEVICE uint32_t PackF16(float low, float high) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::RoundToF16(static_cast<double>(low)) |
         static_cast<uint32_t>(emulator::RoundToF16(static_cast<double>(high))) << 16;
#else
  uint32_t result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#endif
}

// a * b + c, rounded once.
RA_DEVICE uint32_t FmaF16x2(uint32_t a, uint32_t b, uint32_t c) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::FmaF16x2(a, b, c);
#else
  uint32_t d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#endif
}
RA_DEVICE uint32_t MulF16x2(uint32_t a, uint32_t b) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::FmaF16x2(a, b, 0x80008000u);  // + -0: the sign of a zero product stays
#else
  uint32_t d;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
#endif
}
RA_DEVICE uint32_t AddF16x2(uint32_t a, uint32_t b) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::FmaF16x2(a, 0x3c003c00u, b);  // a * 1 + b
#else
  uint32_t d;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
#endif
}
RA_DEVICE uint32_t SubF16x2(uint32_t a, uint32_t b) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::FmaF16x2(b, 0xbc00bc00u, a);  // b * -1 + a
#else
  uint32_t d;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
#endif
}
// sm_80 has no other bf16 arithmetic than this: a product is a * b + -0, a sum is a * 1 + b.
RA_DEVICE uint32_t FmaBF16x2(uint32_t a, uint32_t b, uint32_t c) {
#if defined(RA_CUDA_EMULATOR)
  return emulator::FmaBF16x2(a, b, c);
#else
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#endif
}

}  // namespace runahead::RA_CUDA
