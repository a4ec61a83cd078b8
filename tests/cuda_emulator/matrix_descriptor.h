// What the 64 bits of a matrix descriptor of wgmma say, and where the elements of a K-major matrix
// of bytes lie then. Pure functions.
//
// Documented (PTX ISA, "Matrix Descriptor Format" and "Shared Memory Matrix Layout"):
//
//   bits 13..0   start address / 16       in 18 bits of shared address
//   bits 29..16  leading dimension byte offset / 16
//   bits 45..32  stride dimension byte offset / 16
//   bits 51..49  base offset: 0 where patterns begin at multiples of 1024 bytes
//   bits 63..62  0: no swizzle, 1: 128 bytes (2: 64, 3: 32)
//
//   K-major, units of 16 bytes, rows in groups of 8 that lie `stride` apart:
//     no swizzle   a group is 8 x 1 units one after the other; the next column of units `leading`
//                  bytes further
//     128 bytes    a group is 8 x 8 units, rows 128 bytes apart, unit u of row r of the pattern at
//                  u ^ (r % 8); `leading` is not used
//
// Inferred, not documented in words: the swizzle is a function of the address, bits 4..6 ^= bits
// 7..9, so that a start address 32 bytes into the pattern is the next 32 columns of K.
#pragma once

#include <cstdint>

namespace runahead::emulator {

struct MatrixDescriptor {
  int64_t start = 0;    // bytes
  int64_t leading = 0;  // bytes
  int64_t stride = 0;   // bytes
  int base_offset = 0;
  int swizzle = 0;

  bool operator==(const MatrixDescriptor&) const = default;
};

constexpr MatrixDescriptor DecodeDescriptor(uint64_t bits) {
  const auto field = [bits](int low) { return static_cast<int64_t>(bits >> low & 0x3fffu) * 16; };
  return {field(0), field(16), field(32), static_cast<int>(bits >> 49 & 7u),
          static_cast<int>(bits >> 62 & 3u)};
}

// Whether the emulator has a twin of such a layout.
constexpr bool HasTwin(const MatrixDescriptor& matrix) {
  if (matrix.base_offset != 0 || matrix.swizzle > 1) return false;
  // A pattern's first row: the row is taken from the address.
  return matrix.swizzle == 0 || (matrix.start % 1024 < 128 && matrix.stride % 1024 == 0);
}

// The shared address of columns 16 unit .. 16 unit + 15 of row `row`.
constexpr int64_t ByteOf(const MatrixDescriptor& matrix, int row, int unit) {
  const int64_t group = matrix.start + row / 8 * matrix.stride;
  if (matrix.swizzle == 0) return group + unit * matrix.leading + row % 8 * 16;
  const int64_t linear = group + row % 8 * 128 + unit * 16;
  return linear ^ (linear >> 7 & 7) << 4;
}

}  // namespace runahead::emulator
