#include "kernels/cpu/isa.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "core/dtype.h"

namespace runahead::cpu {
namespace {

TEST(Isa, TheBestIsTheFirstThatRuns) {
  const Isa* best = FindIsa("");
  ASSERT_NE(best, nullptr);
  for (const Isa& isa : BuiltIsas()) {
    if (!isa.is_supported()) continue;
    EXPECT_EQ(isa.name, best->name);
    break;
  }
  EXPECT_EQ(FindIsa("MMX"), nullptr);
}

// Every bf16 rounding the kernels do is core's, for all kinds of values and both tie directions.
TEST(Isa, RoundsToBf16AsCoreDoes) {
  std::vector<float> values;
  for (uint32_t high = 0; high < 0x10000; high += 7) {
    for (const uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      values.push_back(std::bit_cast<float>((high << 16) | low));
    }
  }
  const auto width = static_cast<int64_t>(values.size());
  for (const Isa& isa : BuiltIsas()) {
    if (!isa.is_supported()) continue;
    std::vector<BFloat16> rounded(values.size());
    isa.kernels().convert({values.data(), false}, {rounded.data(), true}, width);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(rounded[i].bits, ToBFloat16(values[i]).bits) << isa.name << " " << values[i];
    }
  }
}

// The exponential behind softmax and sums: 2 ulp (sum_exp of one value is its exponential), and
// exactly 0 for what is banned.
TEST(Isa, ExponentialIsRightToTwoUlp) {
  for (const Isa& isa : BuiltIsas()) {
    if (!isa.is_supported()) continue;
    for (float x = -87; x <= 0; x += 0.0371f) {
      const std::vector<float> row(64, x);
      const double expected = 64 * std::exp(static_cast<double>(x));
      EXPECT_NEAR(isa.kernels().sum_exp(row.data(), 64, 0), expected, 3 * 0x1p-23 * expected)
          << isa.name << " " << x;
    }
    const std::vector<float> banned(64, -INFINITY);
    EXPECT_EQ(isa.kernels().sum_exp(banned.data(), 64, 0), 0);
    const std::vector<float> nan(64, NAN);
    EXPECT_TRUE(std::isnan(isa.kernels().sum_exp(nan.data(), 64, 0)));
  }
}

TEST(Isa, CollectsAndCountsAtAnyLength) {
  for (const Isa& isa : BuiltIsas()) {
    if (!isa.is_supported()) continue;
    for (int64_t vocab = 0; vocab < 70; ++vocab) {
      std::vector<float> row;
      for (int64_t i = 0; i < vocab; ++i) row.push_back(static_cast<float>((i * 7) % 10));
      std::vector<int32_t> expected;
      int64_t greater = 0;
      for (int64_t i = 0; i < vocab; ++i) {
        if (row[static_cast<size_t>(i)] >= 5) expected.push_back(static_cast<int32_t>(i));
        greater += row[static_cast<size_t>(i)] > 5 ? 1 : 0;
      }
      std::vector<int32_t> ids(static_cast<size_t>(vocab));
      const int64_t count = isa.kernels().collect(row.data(), vocab, 5, true, ids.data(), vocab);
      ids.resize(static_cast<size_t>(count));
      EXPECT_EQ(ids, expected) << isa.name;
      EXPECT_EQ(isa.kernels().count_greater(row.data(), vocab, 5), greater) << isa.name;
    }
  }
}

}  // namespace
}  // namespace runahead::cpu
