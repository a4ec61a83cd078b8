#include "kernels/quantize_weights.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"

#include "kernels/quantized_rows.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

using testing::HasSubstr;

constexpr WeightFormat Int4(int group, bool has_zero_points) {
  return {WeightType::kInt4, group, has_zero_points};
}

std::vector<WeightFormat> AllFormats() {
  std::vector<WeightFormat> formats = {WeightFormat::kInt8};
  for (const int group : {128, 64, 32}) {
    formats.push_back(Int4(group, false));
    formats.push_back(Int4(group, true));
  }
  return formats;
}

std::string NameOf(WeightFormat format) {
  if (format.type == WeightType::kInt8) return "int8";
  return "int4 g" + std::to_string(format.group) + (format.has_zero_points ? " zeros" : "");
}

std::vector<float> Row(const OwnedQuantizedMatrix& matrix, int64_t row) {
  std::vector<float> out(static_cast<size_t>(matrix.k));
  DequantizeRow(matrix.view(), matrix.format, row, out);
  return out;
}

double SquaredError(const Tensor& weights, const OwnedQuantizedMatrix& matrix) {
  double sum = 0;
  for (int64_t r = 0; r < matrix.n; ++r) {
    const std::vector<float> row = Row(matrix, r);
    for (int64_t i = 0; i < matrix.k; ++i) {
      sum += std::pow(weights.at(r, i) - double{row[static_cast<size_t>(i)]}, 2);
    }
  }
  return sum;
}

// Every element is on the grid of its group, at the point nearest to it.
void ExpectNearest(const Tensor& weights, const OwnedQuantizedMatrix& matrix) {
  const WeightFormat format = matrix.format;
  const int64_t group = format.group == 0 ? matrix.k : format.group;
  const bool is_int8 = format.type == WeightType::kInt8;
  for (int64_t r = 0; r < matrix.n; ++r) {
    const std::vector<float> row = Row(matrix, r);
    for (int64_t i = 0; i < matrix.k; ++i) {
      const auto at = static_cast<size_t>(r * matrix.num_groups() + i / group);
      const double scale = ToFloat(matrix.scales[at]);
      const int zero = format.has_zero_points ? matrix.zero_points[at] : 8;
      double nearest = INFINITY;
      for (int code = is_int8 ? -127 : -zero; code <= (is_int8 ? 127 : 15 - zero); ++code) {
        nearest = std::min(nearest, std::abs(code * scale - weights.at(r, i)));
      }
      // Choosing by a product with the scale's inverse errs by its three roundings where two points
      // are all but equally near.
      ASSERT_LE(std::abs(double{row[static_cast<size_t>(i)]} - weights.at(r, i)),
                nearest + 4 * kEpsF32 * (std::abs(weights.at(r, i)) + std::abs(scale)))
          << NameOf(format) << " " << r << " " << i;
    }
  }
}

TEST(QuantizeWeightsTest, EveryWeightIsTheNearestPointOfItsGroup) {
  std::mt19937 rng(1);
  for (const WeightFormat format : AllFormats()) {
    for (const int64_t k : {1, 31, 32, 96, 130, 257}) {
      for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
        const Tensor weights = RandomTensor(dtype, {5, k}, rng, 0.02);
        for (const bool search : {false, true}) {
          const auto matrix = QuantizeWeights(weights.view(), format, {.search_clip = search});
          ASSERT_TRUE(matrix.ok());
          ExpectNearest(weights, *matrix);
        }
      }
    }
  }
}

TEST(QuantizeWeightsTest, WithoutASearchTheRangeIsCovered) {
  std::mt19937 rng(2);
  for (const WeightFormat format : AllFormats()) {
    const Tensor weights = RandomTensor(DType::kF32, {9, 256}, rng);
    const auto matrix = QuantizeWeights(weights.view(), format, {.search_clip = false}).value();
    const bool is_int8 = format.type == WeightType::kInt8;
    const int64_t group = is_int8 ? 256 : format.group;
    for (int64_t r = 0; r < 9; ++r) {
      const std::vector<float> row = Row(matrix, r);
      for (int64_t i = 0; i < 256; ++i) {
        const auto at = static_cast<size_t>(r * matrix.num_groups() + i / group);
        const double scale = std::abs(double{ToFloat(matrix.scales[at])});
        // Half a step, but for what lies beyond +7 where -8 is the far end (one more step), what
        // rounding a zero point shifts (half a step), and the scale's own rounding (2^-9 of 127,
        // 8 or 15 steps).
        const double steps = is_int8 ? 0.5 + 127.0 / 512 : format.has_zero_points ? 1.04 : 1.02;
        EXPECT_LE(std::abs(weights.at(r, i) - double{row[static_cast<size_t>(i)]}), steps * scale)
            << NameOf(format);
      }
    }
  }
}

// Uniform noise of a step has a variance of step^2 / 12. On normal weights the search must do
// better than covering the range, most of all in large groups; finer groups and zero points must
// not do worse than coarser ones.
TEST(QuantizeWeightsTest, TheSearchLowersTheError) {
  std::mt19937 rng(3);
  const Tensor weights = RandomTensor(DType::kF32, {64, 1024}, rng);
  for (const WeightFormat format : AllFormats()) {
    const double plain = SquaredError(
        weights, QuantizeWeights(weights.view(), format, {.search_clip = false}).value());
    const double searched =
        SquaredError(weights, QuantizeWeights(weights.view(), format, {}).value());
    EXPECT_LE(searched, plain) << NameOf(format);
    if (format.group == 128) {
      EXPECT_LE(searched, 0.9 * plain) << NameOf(format);
    }
  }
  const auto error = [&](WeightFormat format) {
    return SquaredError(weights, QuantizeWeights(weights.view(), format, {}).value());
  };
  EXPECT_LT(error(Int4(32, false)), error(Int4(64, false)));
  EXPECT_LT(error(Int4(64, false)), error(Int4(128, false)));
  EXPECT_LT(error(WeightFormat::kInt8), 0.01 * error(Int4(32, false)));
  // The best uniform quantizer of 16 levels leaves 0.01154 of a normal variance (Max 1960); its
  // levels straddle 0, a grid through 0 leaves a little more.
  EXPECT_LT(error(Int4(128, false)) / (64 * 1024), 0.0135);
  EXPECT_GT(error(Int4(128, false)) / (64 * 1024), 0.0085);
}

// All weights on one side of 0: a symmetric grid has seven or eight steps for them, one with zero
// points fifteen.
TEST(QuantizeWeightsTest, ZeroPointsHalveTheStepOfOneSidedGroups) {
  std::mt19937 rng(4);
  for (const double sign : {1.0, -1.0}) {
    Tensor weights = RandomTensor(DType::kF32, {8, 256}, rng);
    for (int64_t r = 0; r < 8; ++r) {
      for (int64_t i = 0; i < 256; ++i) weights.set(r, i, sign * std::abs(weights.at(r, i)));
    }
    const double symmetric =
        SquaredError(weights, QuantizeWeights(weights.view(), Int4(64, false), {}).value());
    const double zeros =
        SquaredError(weights, QuantizeWeights(weights.view(), Int4(64, true), {}).value());
    EXPECT_LT(zeros, 0.4 * symmetric);
  }
}

// What is on a grid already comes back as it was.
TEST(QuantizeWeightsTest, KeepsWhatIsAlreadyQuantized) {
  std::mt19937 rng(5);
  for (const WeightFormat format : AllFormats()) {
    const Tensor weights = RandomTensor(DType::kF32, {6, 192}, rng);
    const auto once = QuantizeWeights(weights.view(), format, {.search_clip = false}).value();
    Tensor values(DType::kF32, {6, 192});
    for (int64_t r = 0; r < 6; ++r) {
      const std::vector<float> row = Row(once, r);
      for (int64_t i = 0; i < 192; ++i) values.set(r, i, double{row[static_cast<size_t>(i)]});
    }
    const auto again = QuantizeWeights(values.view(), format, {}).value();
    for (int64_t r = 0; r < 6; ++r) EXPECT_EQ(Row(again, r), Row(once, r)) << NameOf(format);
  }
}

TEST(QuantizeWeightsTest, TheSameBitsForAnyNumberOfThreads) {
  std::mt19937 rng(6);
  const Tensor weights = RandomTensor(DType::kBF16, {700, 515}, rng);
  for (const WeightFormat format : {WeightFormat::kInt8, Int4(64, true)}) {
    const auto alone = QuantizeWeights(weights.view(), format, {.num_threads = 1}).value();
    const auto shared = QuantizeWeights(weights.view(), format, {.num_threads = 3}).value();
    EXPECT_EQ(alone.codes, shared.codes);
    EXPECT_EQ(alone.zero_points, shared.zero_points);
    for (size_t i = 0; i < alone.scales.size(); ++i) {
      ASSERT_EQ(alone.scales[i].bits, shared.scales[i].bits);
    }
  }
}

TEST(QuantizeWeightsTest, TakesRowsThatAreAView) {
  std::mt19937 rng(7);
  const Tensor wide = RandomTensor(DType::kF32, {4, 100}, rng);
  TensorView view = wide.view();
  view.dims[1] = 64;
  Tensor narrow(DType::kF32, {4, 64});
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t i = 0; i < 64; ++i) narrow.set(r, i, wide.at(r, i));
  }
  EXPECT_EQ(QuantizeWeights(view, WeightFormat::kInt8, {}).value().codes,
            QuantizeWeights(narrow.view(), WeightFormat::kInt8, {}).value().codes);
}

TEST(QuantizeWeightsTest, ExtremesStayWhatTheyAre) {
  for (const WeightFormat format : AllFormats()) {
    Tensor weights(DType::kF32, {6, 40});  // row 0: zeros
    for (int64_t i = 0; i < 40; ++i) {
      weights.set(1, i, 1e-38);             // too small to matter
      weights.set(2, i, i == 3 ? 2.5 : 0);  // one value
      weights.set(3, i, i % 2 == 0 ? 1e38 : -1e38);
      weights.set(4, i, i == 39 ? -0.25 : 0.25);
      weights.set(5, i, i < 20 ? 3.2e38 : 0);  // the widest range tried is beyond f32
    }
    const auto matrix = QuantizeWeights(weights.view(), format, {}).value();
    EXPECT_EQ(Row(matrix, 0), std::vector<float>(40)) << NameOf(format);
    EXPECT_EQ(Row(matrix, 1), std::vector<float>(40)) << NameOf(format);
    for (int64_t r = 2; r < 6; ++r) {
      const std::vector<float> row = Row(matrix, r);
      for (int64_t i = 0; i < 40; ++i) {
        const double w = weights.at(r, i);
        EXPECT_NEAR(double{row[static_cast<size_t>(i)]}, w, 0.08 * std::abs(w) + 1e-30)
            << NameOf(format) << " row " << r;
      }
    }
  }
}

TEST(QuantizeWeightsTest, NamesTheRowThatIsNotFinite) {
  std::mt19937 rng(8);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const WeightFormat format : AllFormats()) {
      Tensor weights = RandomTensor(DType::kF32, {900, 200}, rng);
      weights.set(611, 199, double{bad});
      weights.set(899, 0, double{bad});
      const auto matrix = QuantizeWeights(weights.view(), format, {.num_threads = 2});
      ASSERT_FALSE(matrix.ok());
      EXPECT_EQ(matrix.status().code(), StatusCode::kInvalidArgument);
      EXPECT_THAT(matrix.status().message(), HasSubstr("row 611 holds a NaN"));
    }
  }
}

TEST(QuantizeWeightsTest, NoRowsAreFine) {
  const Tensor weights(DType::kF32, {0, 64});
  EXPECT_TRUE(QuantizeWeights(weights.view(), WeightFormat::kInt4, {}).value().codes.empty());
}

TEST(FillQuantizedRowsTest, CopiesCodesScaleAndSum) {
  std::mt19937 rng(9);
  const int64_t k = 200;
  const Tensor weights = RandomTensor(DType::kBF16, {7, k}, rng);
  const auto matrix = QuantizeWeights(weights.view(), WeightFormat::kInt8, {}).value();
  const QuantizedRowLayout layout(k, 0);
  std::vector<int8_t> memory(static_cast<size_t>(3 * layout.row_bytes), 77);
  const TensorView rows = RowsIn({DType::kI8, 0}, memory.data(), 3, k);
  FillQuantizedRows(matrix.view(), 4, rows);
  for (int64_t r = 0; r < 3; ++r) {
    const int8_t* row = rows.Row<int8_t>(r);
    const std::vector<float> expected = Row(matrix, 4 + r);
    const float scale = *reinterpret_cast<const float*>(row + layout.scales_at);
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) {
      EXPECT_EQ(static_cast<float>(row[i]) * scale, expected[static_cast<size_t>(i)]);
      sum += row[i];
    }
    EXPECT_EQ(*reinterpret_cast<const int32_t*>(row + layout.sums_at), sum);
    for (int64_t i = k; i < layout.scales_at; ++i) EXPECT_EQ(row[i], 0);
    for (int64_t i = layout.sums_at + 4; i < layout.row_bytes; ++i) EXPECT_EQ(row[i], 0);
  }
}

}  // namespace
}  // namespace runahead
