// Descriptors bit by bit, and the layouts of the PTX ISA's figures for K-major matrices.
#include "tests/cuda_emulator/matrix_descriptor.h"

#include <set>

#include <gtest/gtest.h>

#include "kernels/cuda/primitives/wgmma.h"

namespace runahead::RA_CUDA {
namespace {

using emulator::ByteOf;
using emulator::DecodeDescriptor;

TEST(MatrixDescriptorTest, FieldsLieWhereTheIsaPutsThem) {
  const auto m = DecodeDescriptor(0x12u | uint64_t{0x34} << 16 | uint64_t{0x56} << 32 |
                                  uint64_t{5} << 49 | uint64_t{2} << 62);
  EXPECT_EQ(m.start, 0x120);
  EXPECT_EQ(m.leading, 0x340);
  EXPECT_EQ(m.stride, 0x560);
  EXPECT_EQ(m.base_offset, 5);
  EXPECT_EQ(m.swizzle, 2);
  EXPECT_EQ(DecodeDescriptor(0x3fff).start, 0x3fff0) << "18 bits of address";
  EXPECT_EQ(DecodeDescriptor(0xc000).start, 0) << "bits 14 and 15 are nobody's";
}

// "K-Major, no-swizzling and tf32 type": LBO 64 elements, SBO 32 elements of 4 bytes; layout
// ((8,2),(4,4)):((4,32),(1,64)). Encoded: 16 and 8.
TEST(MatrixDescriptorTest, NoSwizzleAsInTheIsasExample) {
  const auto m = DecodeDescriptor(uint64_t{16} << 16 | uint64_t{8} << 32);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 16; ++column) {
      const int element = row % 8 * 4 + row / 8 * 32 + column % 4 + column / 4 * 64;
      EXPECT_EQ(ByteOf(m, row, column / 4) + column % 4 * 4, element * 4);
    }
  }
}

// 128-byte swizzle: Swizzle<3, 4, 3> of rows 128 bytes apart: eight rows put the same unit of K
// into eight different units of 16 bytes.
TEST(MatrixDescriptorTest, SwizzleOf128BytesPermutesTheUnitsOfARow) {
  const auto m = DecodeDescriptor(uint64_t{1024 / 16} << 32 | uint64_t{1} << 62);
  for (int row = 0; row < 64; ++row) {
    std::set<int64_t> places;
    for (int unit = 0; unit < 8; ++unit) {
      EXPECT_EQ(ByteOf(m, row, unit), row * 128 + (unit ^ row % 8) * 16);
      places.insert(ByteOf(m, row, unit) / 16);
    }
    EXPECT_EQ(places.size(), 8u);
    EXPECT_EQ(*places.begin(), row * 8);
  }
}

// A start address 32 bytes further is the next step of K.
TEST(MatrixDescriptorTest, StepsOfKAreStartAddresses) {
  const uint64_t bits = uint64_t{1024 / 16} << 32 | uint64_t{1} << 62;
  for (int step = 0; step < 4; ++step) {
    const auto m = DecodeDescriptor(AdvanceDescriptor(bits, step * 32));
    EXPECT_TRUE(HasTwin(m));
    for (int row = 0; row < 64; ++row) {
      for (int unit = 0; unit < 2; ++unit) {
        EXPECT_EQ(ByteOf(m, row, unit), ByteOf(DecodeDescriptor(bits), row, 2 * step + unit));
      }
    }
  }
  EXPECT_FALSE(HasTwin(DecodeDescriptor(AdvanceDescriptor(bits, 128)))) << "another row's";
  EXPECT_FALSE(HasTwin(DecodeDescriptor(uint64_t{3} << 62)));
  EXPECT_FALSE(HasTwin(DecodeDescriptor(bits | uint64_t{1} << 49)));
}

}  // namespace
}  // namespace runahead::RA_CUDA
