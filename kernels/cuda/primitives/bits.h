// Bit tricks: lop3 and prmt.
#pragma once

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// lop3.b32: bit by bit the function of (a, b, c) whose truth table is kTable; build it from
// kLopA, kLopB and kLopC, as (kLopA & kLopB) | kLopC.
inline constexpr int kLopA = 0xf0;
inline constexpr int kLopB = 0xcc;
inline constexpr int kLopC = 0xaa;
template <int kTable>
RA_DEVICE uint32_t Lop3(uint32_t a, uint32_t b, uint32_t c) {
  static_assert(kTable >= 0 && kTable < 256, "a truth table of three inputs");
#if defined(RA_CUDA_EMULATOR)
  uint32_t result = 0;
  for (int row = 0; row < 8; ++row) {
    if ((kTable >> row & 1) == 0) continue;
    result |= ((row & 4) != 0 ? a : ~a) & ((row & 2) != 0 ? b : ~b) & ((row & 1) != 0 ? c : ~c);
  }
  return result;
#else
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(result) : "r"(a), "r"(b), "r"(c), "n"(kTable));
  return result;
#endif
}

// prmt.b32: byte i of the result is byte (selector >> 4 i) & 7 of (low bytes a, high bytes b); with
// bit 3 of a selector nibble set, eight copies of that byte's sign.
RA_DEVICE uint32_t PermuteBytes(uint32_t a, uint32_t b, uint32_t selector) {
#if defined(RA_CUDA_EMULATOR)
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t nibble = selector >> (4 * i) & 15u;
    auto byte = static_cast<uint32_t>(bytes >> (8 * (nibble & 7u)) & 0xffu);
    if ((nibble & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xffu : 0;
    result |= byte << (8 * i);
  }
  return result;
#else
  uint32_t result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(selector));
  return result;
#endif
}

}  // namespace runahead::RA_CUDA
