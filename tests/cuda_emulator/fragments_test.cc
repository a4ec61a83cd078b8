// The lane mappings, written out as the PTX ISA's tables give them (its "Matrix Fragments for
// mma.m16n8k16" and following), element by element, and not as our formulas have them.
#include "tests/cuda_emulator/fragments.h"

#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

// "row = groupID for a0, a1, a4, a5; groupID + 8 for a2, a3, a6, a7
//  col = (threadID_in_group * 2) + (i & 1) for i < 4; the same + 8 for i >= 4"
TEST(FragmentsTest, AOfM16N8K16HalfPrecision) {
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane >> 2;
    const int member = lane % 4;
    for (int i = 0; i < 8; ++i) {
      const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
      const int col = member * 2 + (i & 1) + (i < 4 ? 0 : 8);
      const Place at = PlaceInA(lane, i / 2, i % 2, 16);
      EXPECT_EQ(at.row, row) << lane << " a" << i;
      EXPECT_EQ(at.col, col) << lane << " a" << i;
    }
  }
}

// "row = (threadID_in_group * 2) + (i & 1), + 8 for i >= 2; col = groupID"
TEST(FragmentsTest, BOfM16N8K16HalfPrecision) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const Place at = PlaceInB(lane, i / 2, i % 2, 16);
      EXPECT_EQ(at.row, lane % 4 * 2 + (i & 1) + (i < 2 ? 0 : 8));
      EXPECT_EQ(at.col, lane >> 2);
    }
  }
}

// "row = groupID for c0, c1; groupID + 8 for c2, c3; col = (threadID_in_group * 2) + (i & 1)"
TEST(FragmentsTest, COfEveryShape) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const Place at = PlaceInC(lane, i);
      EXPECT_EQ(at.row, (lane >> 2) + (i < 2 ? 0 : 8));
      EXPECT_EQ(at.col, lane % 4 * 2 + (i & 1));
    }
  }
}

// "row = groupID for a0..a3, a8..a11; + 8 for the others
//  col = (threadID_in_group * 4) + (i & 3), + 16 for i >= 8"
TEST(FragmentsTest, AOfM16N8K32Bytes) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 16; ++i) {
      const Place at = PlaceInA(lane, i / 4, i % 4, 8);
      EXPECT_EQ(at.row, (lane >> 2) + (i < 4 || (i >= 8 && i < 12) ? 0 : 8));
      EXPECT_EQ(at.col, lane % 4 * 4 + (i & 3) + (i < 8 ? 0 : 16));
    }
  }
}

// "row = (threadID_in_group * 4) + (i & 3), + 16 for i >= 4; col = groupID"
TEST(FragmentsTest, BOfM16N8K32Bytes) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; ++i) {
      const Place at = PlaceInB(lane, i / 4, i % 4, 8);
      EXPECT_EQ(at.row, lane % 4 * 4 + (i & 3) + (i < 4 ? 0 : 16));
      EXPECT_EQ(at.col, lane >> 2);
    }
  }
}

// "row = groupID for a0..a7, a16..a23; + 8 for the others
//  col = (threadID_in_group * 8) + (i & 7), + 32 for i >= 16"
TEST(FragmentsTest, AOfM16N8K64Nibbles) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 32; ++i) {
      const Place at = PlaceInA(lane, i / 8, i % 8, 4);
      EXPECT_EQ(at.row, (lane >> 2) + (i < 8 || (i >= 16 && i < 24) ? 0 : 8));
      EXPECT_EQ(at.col, lane % 4 * 8 + (i & 7) + (i < 16 ? 0 : 32));
    }
  }
}

// "row = (threadID_in_group * 8) + (i & 7), + 32 for i >= 8; col = groupID"
TEST(FragmentsTest, BOfM16N8K64Nibbles) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 16; ++i) {
      const Place at = PlaceInB(lane, i / 8, i % 8, 4);
      EXPECT_EQ(at.row, lane % 4 * 8 + (i & 7) + (i < 8 ? 0 : 32));
      EXPECT_EQ(at.col, lane >> 2);
    }
  }
}

// wgmma.m64nNk32, accumulator D, figure "register fragment layout for accumulator matrix D": row 0
// of the first warp reads T0: {d0, d1} T1: {d0, d1} T2 T3, then T0: {d4, d5} ..; row 8 reads T0:
// {d2, d3} ..; row 16 begins with T32, row 48 with T96, and the last row ends with T127: {dN/2-2,
// dN/2-1}.
TEST(FragmentsTest, DOfWgmma) {
  for (int thread = 0; thread < 128; ++thread) {
    const int row = thread / 32 * 16 + thread % 32 / 4;
    for (int quad = 0; quad < 32; ++quad) {  // N = 256: d0..d3, d4..d7, ..
      const int col = quad * 8 + thread % 4 * 2;
      const int expected[4][2] = {{row, col}, {row, col + 1}, {row + 8, col}, {row + 8, col + 1}};
      for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(PlaceInWgmmaD(thread, 4 * quad + i).row, expected[i][0]);
        EXPECT_EQ(PlaceInWgmmaD(thread, 4 * quad + i).col, expected[i][1]);
      }
    }
  }
  EXPECT_EQ(PlaceInWgmmaD(127, 127).row, 63);
  EXPECT_EQ(PlaceInWgmmaD(127, 127).col, 255);
}

// Every element has one place and every place one element.
TEST(FragmentsTest, CoverTheirMatrices) {
  for (const int bits : {16, 8, 4}) {
    const int elements = 32 / bits;
    std::set<std::pair<int, int>> a;
    std::set<std::pair<int, int>> b;
    std::set<std::pair<int, int>> c;
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < elements; ++i) {
        for (int r = 0; r < 4; ++r) {
          const Place at = PlaceInA(lane, r, i, bits);
          a.insert({at.row, at.col});
        }
        for (int r = 0; r < 2; ++r) {
          const Place at = PlaceInB(lane, r, i, bits);
          b.insert({at.row, at.col});
        }
      }
      for (int e = 0; e < 4; ++e) c.insert({PlaceInC(lane, e).row, PlaceInC(lane, e).col});
    }
    const auto k = static_cast<size_t>(8 * elements);
    EXPECT_EQ(a.size(), 16 * k);
    EXPECT_EQ(b.size(), 8 * k);
    EXPECT_EQ(c.size(), 16u * 8);
  }
}

}  // namespace
}  // namespace runahead::emulator
