#include "tests/cuda_emulator/half_math.h"

#include <bit>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "core/dtype.h"

namespace runahead::emulator {
namespace {

float BF16(uint16_t bits) { return runahead::ToFloat(BFloat16{bits}); }

TEST(HalfMathTest, EveryHalfComesBack) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_EQ(RoundToF16(double{value}), 0x7fff);
      EXPECT_GT(bits & 0x7fffu, 0x7c00u);
      continue;
    }
    EXPECT_EQ(RoundToF16(double{value}), half);
    EXPECT_EQ(value, runahead::ToFloat(Float16{half}));
  }
}

TEST(HalfMathTest, EveryBFloat16ComesBack) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto value = static_cast<uint16_t>(bits);
    const bool is_nan = (bits & 0x7fffu) > 0x7f80u;
    EXPECT_EQ(RoundToBF16(double{BF16(value)}), is_nan ? 0x7fff : value);
  }
}

// As core's own conversions, which are tested against the compiler's.
TEST(HalfMathTest, RoundsFloatsToNearestEven) {
  std::mt19937 rng(1);
  for (int i = 0; i < 200000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(rng()));
    if (std::isnan(value)) continue;
    EXPECT_EQ(RoundToBF16(double{value}), ToBFloat16(value).bits) << value;
    EXPECT_EQ(RoundToF16(double{value}), ToFloat16(value).bits) << value;
    const auto small =
        std::ldexp(value, -static_cast<int>(std::ilogb(value)) - static_cast<int>(rng() % 30));
    EXPECT_EQ(RoundToF16(double{small}), ToFloat16(small).bits) << small;
  }
}

TEST(HalfMathTest, TiesGoToEven) {
  EXPECT_EQ(RoundToF16(1 + 0x1p-11), 0x3c00);
  EXPECT_EQ(RoundToF16(1 + 3 * 0x1p-11), 0x3c02);
  EXPECT_EQ(RoundToF16(1 + 0x1p-11 + 0x1p-40), 0x3c01);
  EXPECT_EQ(RoundToF16(65519.99), 0x7bff);
  EXPECT_EQ(RoundToF16(65520), 0x7c00) << "half way to 65536";
  EXPECT_EQ(RoundToF16(0x1p-25), 0) << "half of the smallest";
  EXPECT_EQ(RoundToF16(-0x1.8p-25), 0x8001);
}

// 7 * 37 = 259 is half way between the bf16 values 258 and 260. An addend of 2^-100, lost in a
// double, still decides.
TEST(HalfMathTest, FusedMultiplyAddRoundsOnce) {
  const auto bf = [](double v) { return uint32_t{RoundToBF16(v)}; };
  EXPECT_EQ(FmaBF16x2(bf(7), bf(37), bf(0)) & 0xffffu, bf(260)) << "a tie goes to even";
  EXPECT_EQ(FmaBF16x2(bf(7), bf(37), bf(-0x1p-100)) & 0xffffu, bf(258));
  EXPECT_EQ(FmaBF16x2(bf(7), bf(37), bf(0x1p-100)) & 0xffffu, bf(260));
  EXPECT_EQ(FmaBF16x2(bf(-7), bf(37), bf(0x1p-100)) & 0xffffu, bf(-258));
  // The same in f16: 3 * 683 = 2049 is half way between 2048 and 2050.
  const auto half = [](double v) { return uint32_t{RoundToF16(v)}; };
  EXPECT_EQ(FmaF16x2(half(3), half(683), half(0)) & 0xffffu, half(2048));
  EXPECT_EQ(FmaF16x2(half(3), half(683), half(0x1p-24)) & 0xffffu, half(2050));
}

TEST(HalfMathTest, PairsAreIndependent) {
  const uint32_t a = 0x4000u << 16 | 0x3c00u;  // 2, 1
  const uint32_t b = 0x4200u << 16 | 0x4000u;  // 3, 2
  const uint32_t c = 0x3c00u << 16 | 0xbc00u;  // 1, -1
  EXPECT_EQ(FmaF16x2(a, b, c), 0x4700u << 16 | 0x3c00u) << "7, 1";
}

}  // namespace
}  // namespace runahead::emulator
