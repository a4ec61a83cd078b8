#include "model/matrix_loader.h"

#include <cmath>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::HasSubstr;

constexpr int64_t kN = 6;
constexpr int64_t kK = 160;

// One module, as floats or quantized.
class OneMatrix final : public WeightSource {
 public:
  explicit OneMatrix(std::optional<WeightFormat> stored) : values_(kN * kK) {
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = std::sin(static_cast<float>(i * i));
    if (stored) quantized_ = QuantizeWeights(view(), *stored, {}).value();
  }

  TensorView view() { return {values_.data(), DType::kF32, {kN, kK}}; }
  const OwnedQuantizedMatrix& stored() const { return *quantized_; }
  float& value(size_t i) { return values_[i]; }

  Result<HostTensor> Fetch(const std::string& name, const std::vector<int64_t>&) override {
    EXPECT_EQ(name, "lm_head.weight");
    EXPECT_FALSE(quantized_.has_value()) << "there are no floats";
    HostTensor tensor;
    tensor.view = view();
    return tensor;
  }
  Result<std::optional<HostQuantized>> FetchQuantized(const std::string& module, int64_t,
                                                      int64_t) override {
    EXPECT_EQ(module, "lm_head");
    if (!quantized_) return std::optional<HostQuantized>();
    HostQuantized host;
    host.matrix = quantized_->view();
    host.format = quantized_->format;
    return std::optional(std::move(host));
  }

 private:
  std::vector<float> values_;
  std::optional<OwnedQuantizedMatrix> quantized_;
};

std::vector<float> Dequantized(const QuantizedMatrix& matrix, WeightFormat format) {
  std::vector<float> all(static_cast<size_t>(kN * kK));
  for (int64_t row = 0; row < kN; ++row) {
    DequantizeRow(matrix, format, row,
                  std::span(all).subspan(static_cast<size_t>(row * kK), size_t{kK}));
  }
  return all;
}

TEST(LoadedMatrixTest, FloatsStayWhereTheyAre) {
  OneMatrix source(std::nullopt);
  const auto matrix = LoadedMatrix::Load(source, "lm_head", kN, kK, WeightFormat::kBF16, 1).value();
  EXPECT_FALSE(matrix.is_quantized());
  EXPECT_EQ(matrix.values().data, source.view().data);
}

TEST(LoadedMatrixTest, FloatsAreQuantizedWhereThatIsWanted) {
  OneMatrix source(std::nullopt);
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4}) {
    // Moved about, its views must still hold.
    std::vector<LoadedMatrix> matrices;
    for (int i = 0; i < 3; ++i) {
      matrices.push_back(LoadedMatrix::Load(source, "lm_head", kN, kK, format, 2).value());
    }
    const auto expected = QuantizeWeights(source.view(), format, {}).value();
    for (const LoadedMatrix& matrix : matrices) {
      ASSERT_TRUE(matrix.is_quantized());
      EXPECT_EQ(Dequantized(matrix.quantized(), format), Dequantized(expected.view(), format));
    }
    const auto fetched = LoadedMatrix::Fetch(source, "lm_head", kN, kK, format).value();
    EXPECT_FALSE(fetched.is_quantized()) << "Fetch rounds nothing";
  }
}

TEST(LoadedMatrixTest, StoredCodesAreTakenAsTheyAre) {
  OneMatrix source(WeightFormat::kInt4);
  const auto matrix = LoadedMatrix::Load(source, "lm_head", kN, kK, WeightFormat::kInt4, 1).value();
  ASSERT_TRUE(matrix.is_quantized());
  EXPECT_EQ(matrix.quantized().codes.data, source.stored().view().codes.data);
  OneMatrix bytes(WeightFormat::kInt8);
  const auto a16 = LoadedMatrix::Load(bytes, "lm_head", kN, kK, WeightFormat::kInt8A16, 1).value();
  ASSERT_TRUE(a16.is_quantized());
  EXPECT_EQ(a16.quantized().codes.data, bytes.stored().view().codes.data)
      << "for other activations";
}

TEST(LoadedMatrixTest, StoredCodesBecomeAnotherFormat) {
  OneMatrix source(WeightFormat::kInt8);
  const std::vector<float> stored = Dequantized(source.stored().view(), WeightFormat::kInt8);
  const auto floats = LoadedMatrix::Load(source, "lm_head", kN, kK, WeightFormat::kF32, 1).value();
  ASSERT_FALSE(floats.is_quantized());
  const auto* values = static_cast<const float*>(floats.values().data);
  EXPECT_EQ(std::vector<float>(values, values + kN * kK), stored);
  const auto int4 = LoadedMatrix::Load(source, "lm_head", kN, kK, WeightFormat::kInt4, 1).value();
  const auto expected = QuantizeWeights(floats.values(), WeightFormat::kInt4, {}).value();
  EXPECT_EQ(Dequantized(int4.quantized(), WeightFormat::kInt4),
            Dequantized(expected.view(), WeightFormat::kInt4));
}

TEST(LoadedMatrixTest, WhatCannotBeQuantizedIsNamed) {
  OneMatrix source(std::nullopt);
  source.value(4 * kK + 7) = INFINITY;
  const auto matrix = LoadedMatrix::Load(source, "lm_head", kN, kK, WeightFormat::kInt8, 1);
  EXPECT_EQ(matrix.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(matrix.status().message(),
              HasSubstr("cannot quantize lm_head: row 4 holds a NaN or an infinity"));
  EXPECT_TRUE(LoadedMatrix::Load(source, "lm_head", kN, kK, WeightFormat::kBF16, 1).ok());
  const auto piece = LoadedMatrix::Quantize(source.view().Rows(3, 3), "lm_head",
                                            WeightFormat::kInt8, {.first_row = 3});
  EXPECT_THAT(piece.status().message(), HasSubstr("row 4 holds"));
}

}  // namespace
}  // namespace runahead
