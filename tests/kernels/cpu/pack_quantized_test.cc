#include "kernels/cpu/pack_quantized.h"

#include <cstring>

#include "kernels/cpu/packed_linear.h"
#include "tests/kernels/op_fixture.h"

namespace runahead::cpu {
namespace {

// One canonical part of random codes and scales.
struct Source {
  Source(int64_t n, int64_t k, WeightFormat format) {
    std::mt19937 rng(1);
    const bool is_int4 = format.type == WeightType::kInt4;
    const int64_t row_bytes = is_int4 ? (k + 1) / 2 : k;
    const int64_t groups = is_int4 ? (k + format.group - 1) / format.group : 1;
    for (int64_t i = 0; i < n * row_bytes; ++i) codes.push_back(static_cast<uint8_t>(rng()));
    scales = RandomTensor(DType::kBF16, {n, groups}, rng);
    part.codes = TensorView(codes.data(), is_int4 ? DType::kU8 : DType::kI8, {n, row_bytes});
    part.scales = scales.view();
    part.k = k;
    canonical.quantized = {&part, 1};
    canonical.format = format;
  }

  std::vector<uint8_t> codes;
  Tensor scales;
  QuantizedMatrix part;
  HostLinear canonical;
};

uint8_t ByteAt(const PackedWeight& weight, int64_t panel, int64_t at) {
  return static_cast<uint8_t>(weight.panel(panel)[at]);
}

// A panel of INT4, K = 128 + 32: | 64 bytes of scales | 32 steps of 64 | 64 of scales | 8 steps |,
// byte 4 i + c of step j: column 4 j + c of output i below, of output i + 16 above.
TEST(PackQuantized, Int4PanelsAreAsDrawn) {
  const Source source(40, 160, WeightFormat::kInt4);
  ThreadPool pool(1, false);
  const auto weight = PackQuantized(source.canonical, pool);
  ASSERT_EQ(weight->panel_bytes(), 2 * 64 + 40 * 64);
  const auto code = [&](int64_t row, int64_t col) {
    if (row >= 40) return 0;
    const int byte = source.codes[static_cast<size_t>(row * 80 + col / 2)];
    return col % 2 == 0 ? byte & 15 : byte >> 4;
  };
  for (int64_t panel = 0; panel < 2; ++panel) {
    for (int64_t col = 0; col < 160; ++col) {
      const int64_t step = 64 * (col / 128 + 1) + col / 4 * 64;
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t row = panel * 32 + i;
        EXPECT_EQ(ByteAt(*weight, panel, step + 4 * i + col % 4),
                  code(row, col) | code(row + 16, col) << 4)
            << row << " " << col;
      }
    }
  }
  BFloat16 scale;
  std::memcpy(&scale, weight->panel(1) + 64 + 32 * 64 + 2 * 5, 2);  // output 37, group 1
  EXPECT_EQ(static_cast<double>(ToFloat(scale)), source.scales.at(37, 1));
}

// A panel of INT8, K = 6: 8 steps of 128 bytes (K to 32), then 32 scales in f32.
TEST(PackQuantized, Int8PanelsAreAsDrawn) {
  const Source source(3, 6, WeightFormat::kInt8);
  ThreadPool pool(1, false);
  const auto weight = PackQuantized(source.canonical, pool);
  ASSERT_EQ(weight->panel_bytes(), 8 * 128 + 32 * 4);
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t col = 0; col < 6; ++col) {
      EXPECT_EQ(ByteAt(*weight, 0, col / 4 * 128 + row * 4 + col % 4),
                source.codes[static_cast<size_t>(row * 6 + col)] ^ 0x80);
    }
    float scale = 0;
    std::memcpy(&scale, weight->panel(0) + 8 * 128 + row * 4, 4);
    EXPECT_EQ(static_cast<double>(scale), source.scales.at(row, 0));
  }
}

TEST(PackQuantized, ThreadsPackTheSameBytes) {
  for (const WeightFormat format : {WeightFormat::kInt4, WeightFormat::kInt8}) {
    const Source source(300, 100, format);
    ThreadPool one(1, false);
    const auto expected = PackQuantized(source.canonical, one);
    for (const int num_threads : {2, 5}) {
      ThreadPool pool(num_threads, false);
      const auto weight = PackQuantized(source.canonical, pool);
      const auto bytes = static_cast<size_t>(weight->num_panels() * weight->panel_bytes());
      EXPECT_EQ(std::memcmp(weight->panel(0), expected->panel(0), bytes), 0) << num_threads;
    }
  }
}

// 4 bits and 16 for the scale of 128: 4.125 bits a weight, and 4 bytes an output for the bias.
TEST(PackQuantized, Int4TakesLittleMoreThanFourBits) {
  EXPECT_EQ(PackedLinearBytes(2048, 2048, WeightFormat::kInt4),
            2048 * 2048 / 8 * 33 / 8 + 2048 * 4);
}

TEST(PackQuantizedDeathTest, NamesAnInt8LayerTooWideForItsSums) {
  const Source source(1, 131073, WeightFormat::kInt8);
  ThreadPool pool(1, false);
  EXPECT_DEATH(PackQuantized(source.canonical, pool), "32 bits");
}

}  // namespace
}  // namespace runahead::cpu
