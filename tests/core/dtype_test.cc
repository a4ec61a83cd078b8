#include "core/dtype.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace runahead {
namespace {

// What the bits of a small binary float mean, from the definition alone: no bit of core/dtype is
// used.
double Decode(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>((bits >> mantissa_bits) & ((1u << exponent_bits) - 1));
  const double sign = (bits >> (mantissa_bits + exponent_bits)) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  const double fraction = static_cast<double>(mantissa) / static_cast<double>(1u << mantissa_bits);
  return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias)
                       : sign * std::ldexp(1.0 + fraction, exponent - bias);
}

double DecodeF16(uint32_t bits) { return Decode(bits, 5, 10); }
double DecodeBF16(uint32_t bits) { return Decode(bits, 8, 7); }

// Bit patterns of one sign are ordered like their values, so the nearest to `value` (magnitude) is
// at or next to any lower bound; ties go to the even pattern. `infinity` stands where the next
// value would.
uint16_t NearestBits(float value, double (*decode)(uint32_t), uint16_t infinity,
                     double beyond_largest) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  const auto at = [&](uint32_t bits) { return bits == infinity ? beyond_largest : decode(bits); };
  uint32_t low = 0;
  uint32_t high = infinity;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (at(middle) <= magnitude ? low : high) = middle;
  }
  if (magnitude >= beyond_largest) return static_cast<uint16_t>(sign | infinity);
  const double below = magnitude - at(low);
  const double above = at(high) - magnitude;
  const bool up = above < below || (above == below && low % 2 == 1);
  return static_cast<uint16_t>(sign | (up ? high : low));
}

uint16_t NearestF16(float value) { return NearestBits(value, DecodeF16, 0x7c00, 65536.0); }
uint16_t NearestBF16(float value) {
  return NearestBits(value, DecodeBF16, 0x7f80, std::ldexp(1.0, 128));
}

TEST(DType, BytesAndNames) {
  std::set<std::string> names;
  int bytes = 0;
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kU8, DType::kI32, DType::kI64}) {
    names.insert(std::string(DTypeName(dtype)));
    bytes += DTypeBytes(dtype);
  }
  EXPECT_EQ(names, (std::set<std::string>{"f32", "f16", "bf16", "i8", "u8", "i32", "i64"}));
  EXPECT_EQ(bytes, 4 + 2 + 2 + 1 + 1 + 4 + 8);
}

TEST(Float16, EveryPatternMeansWhatIeeeSays) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const double expected = DecodeF16(bits);
    const float actual = ToFloat(Float16{static_cast<uint16_t>(bits)});
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(actual), expected) << bits;
    ASSERT_EQ(std::signbit(actual), std::signbit(expected)) << bits;
    ASSERT_EQ(ToFloat16(actual).bits, bits);
  }
}

TEST(BFloat16, EveryPatternMeansTheUpperHalfOfAnF32) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const double expected = DecodeBF16(bits);
    const float actual = ToFloat(BFloat16{static_cast<uint16_t>(bits)});
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(actual), expected) << bits;
    ASSERT_EQ(std::signbit(actual), std::signbit(expected)) << bits;
    ASSERT_EQ(ToBFloat16(actual).bits, bits);
  }
}

// Every value, the midpoint to its neighbour, and the F32 just on either side of that midpoint.
template <typename Check>
void AroundEveryMidpoint(double (*decode)(uint32_t), uint32_t infinity, Check check) {
  for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
    const auto middle = static_cast<float>((decode(bits) + decode(bits + 1)) / 2);
    for (const float value :
         {middle, std::nextafterf(middle, 0.0f), std::nextafterf(middle, 1e38f)}) {
      check(value);
      check(-value);
    }
  }
}

TEST(Float16, RoundsToNearestEven) {
  AroundEveryMidpoint(DecodeF16, 0x7c00, [](float value) {
    ASSERT_EQ(ToFloat16(value).bits, NearestF16(value)) << value;
  });
}

TEST(BFloat16, RoundsToNearestEven) {
  AroundEveryMidpoint(DecodeBF16, 0x7f80, [](float value) {
    ASSERT_EQ(ToBFloat16(value).bits, NearestBF16(value)) << value;
  });
}

TEST(Float16, RoundsAnyF32) {
  for (uint64_t bits = 0; bits <= 0xffffffffu;
       bits += 8191) {  // a prime: every exponent, all kinds of tails
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(ToFloat(ToFloat16(value)))) << bits;
      ASSERT_TRUE(std::isnan(ToFloat(ToBFloat16(value)))) << bits;
      continue;
    }
    ASSERT_EQ(ToFloat16(value).bits, NearestF16(value)) << value;
    ASSERT_EQ(ToBFloat16(value).bits, NearestBF16(value)) << value;
  }
}

TEST(Float16, OverflowsAndUnderflowsAtTheRightPlace) {
  EXPECT_EQ(ToFloat16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(ToFloat16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(ToFloat16(-65520.0f).bits, 0xfc00);
  EXPECT_EQ(ToFloat16(0x1p-25f).bits, 0);  // ties to even: zero
  EXPECT_EQ(ToFloat16(0x1.000002p-25f).bits, 1);
  EXPECT_EQ(ToFloat16(-0.0f).bits, 0x8000);
}

TEST(BFloat16, NanKeepsNoRoundingToInfinity) {
  const float quiet = std::bit_cast<float>(0x7fffffffu);       // rounding up would give -0
  const float signalling = std::bit_cast<float>(0x7f800001u);  // truncating would give infinity
  EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(quiet))));
  EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(signalling))));
}

}  // namespace
}  // namespace runahead
