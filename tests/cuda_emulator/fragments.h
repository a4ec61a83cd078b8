// Where the elements of a matrix live in a warp's registers: the lane mappings the PTX ISA
// documents for mma.sync and ldmatrix. Pure functions.
//
// A lane is group = lane / 4, member = lane % 4. A register of 32 bits holds n = 32 / bits elements
// next to each other, the lowest bits first. With E = elements a register:
//
//   A [16, K] row-major     register r of lane: row = group + 8 (r % 2)
//   (K = 8 E or 4 E)                            col = E member + i + 4 E (r / 2)        i in [0, E)
//   B [K, 8] column-major   register r:         row = E member + i + 4 E r,  col = group
//   C, D [16, 8]            element e of lane:  row = group + 8 (e / 2), col = 2 member + e % 2
//
//   A, K = 16, 16-bit (E = 2):   columns 0 1 | 2 3 | 4 5 | 6 7   8 9 | ...
//     row 0                      lane 0 r0  1r0  2r0  3r0        0r2 ...
//     row 8                      lane 0 r1  1r1  2r1  3r1        0r3 ...
//
// So A has K / (4 E) * 2 registers, B has K / (4 E). The formula is one for f16 and bf16 (E = 2),
// s8 (E = 4) and s4 (E = 8), since all of them cut a row into pieces of 16 bytes a quarter warp.
//
// wgmma's D [64, N], of a warpgroup: warp w has rows 16 w to 16 w + 15, and of each eight columns
// what C above has:
//
//   D [64, N]               sum i of thread: row = 16 warp + group + 8 (i / 2 % 2)
//                                            col = 8 (i / 4) + 2 member + i % 2
//
// ldmatrix, an 8x8 matrix of 16-bit elements: lane holds row group, columns 2 member and 2 member +
// 1; transposed: rows 2 member and 2 member + 1 of column group. The row addresses of matrix m are
// those of lanes 8 m to 8 m + 7.
#pragma once

namespace runahead::emulator {

struct Place {
  int row = 0;
  int col = 0;
};

// Element i of register r of a lane, `bits` wide each.
constexpr Place PlaceInA(int lane, int r, int i, int bits) {
  const int e = 32 / bits;
  return {lane / 4 + 8 * (r % 2), e * (lane % 4) + i + 4 * e * (r / 2)};
}
constexpr Place PlaceInB(int lane, int r, int i, int bits) {
  const int e = 32 / bits;
  return {e * (lane % 4) + i + 4 * e * r, lane / 4};
}
constexpr Place PlaceInC(int lane, int element) {
  return {lane / 4 + 8 * (element / 2), 2 * (lane % 4) + element % 2};
}

constexpr Place PlaceInWgmmaD(int thread, int i) {
  const Place at = PlaceInC(thread % 32, i % 4);
  return {thread / 32 * 16 + at.row, i / 4 * 8 + at.col};
}

}  // namespace runahead::emulator
