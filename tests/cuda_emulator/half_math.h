// 16-bit float arithmetic on the host, rounded as IEEE 754 says: to nearest, ties to even, once.
// Pure functions; a NaN result is 0x7fff, as the device makes it.
#pragma once

#include <cstdint>

namespace runahead::emulator {

float HalfToFloat(uint16_t bits);
uint16_t RoundToF16(double value);
uint16_t RoundToBF16(double value);

// Pairs in one register, a * b + c.
uint32_t FmaF16x2(uint32_t a, uint32_t b, uint32_t c);
uint32_t FmaBF16x2(uint32_t a, uint32_t b, uint32_t c);

}  // namespace runahead::emulator
