#include "model/quantized_checkpoint.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "kernels/quantize_weights.h"
#include "tests/model/safetensors_file.h"

namespace runahead {
namespace {

using testing::HasSubstr;

// Tensors of a file to be written, one after the other.
class TensorFile {
 public:
  template <typename T>
  void Add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const std::vector<T>& values) {
    const size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    header_ += (header_.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":")" + dtype +
               R"(","shape":)" + ShapeName(shape) + ",\"data_offsets\":[" + std::to_string(begin) +
               "," + std::to_string(data_.size()) + "]}";
  }
  std::unique_ptr<Checkpoint> Open(const TestFolder& folder) const {
    folder.Write("model.safetensors", SafetensorsBytes(header_ + "}", data_));
    return Checkpoint::Open(folder.path()).value();
  }

 private:
  std::string header_;
  std::string data_;
};

// A weight [n, k] as quantized by hand: code of element (row, i), a scale and a zero point a group.
struct ByHand {
  int64_t n, k;
  int group;
  int Code(int64_t row, int64_t i) const { return static_cast<int>((row * 5 + i * 3) % 16); }
  float Scale(int64_t row, int64_t g) const { return 0.25f * static_cast<float>(1 + row + 10 * g); }
  int Zero(int64_t row, int64_t g) const { return static_cast<int>((row + 7 * g) % 16); }
  int64_t groups() const { return (k + group - 1) / group; }

  // i32 words of 8 codes, the first in the lowest bits.
  std::vector<uint32_t> Packed() const {
    const int64_t words = (k + 7) / 8;
    std::vector<uint32_t> out(static_cast<size_t>(n * words));
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t i = 0; i < k; ++i) {
        out[static_cast<size_t>(row * words + i / 8)] |= static_cast<uint32_t>(Code(row, i))
                                                         << (4 * (i % 8));
      }
    }
    return out;
  }
  // Down the columns: word [r, g] holds rows 8 r .. 8 r + 7.
  std::vector<uint32_t> PackedZeros() const {
    std::vector<uint32_t> out(static_cast<size_t>((n + 7) / 8 * groups()));
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t g = 0; g < groups(); ++g) {
        out[static_cast<size_t>(row / 8 * groups() + g)] |= static_cast<uint32_t>(Zero(row, g))
                                                            << (4 * (row % 8));
      }
    }
    return out;
  }
  std::vector<float> Scales() const {
    std::vector<float> out;
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t g = 0; g < groups(); ++g) out.push_back(Scale(row, g));
    }
    return out;
  }
  TensorFile File(bool with_zeros, const std::string& before = "") const {
    TensorFile file;
    // One byte first makes every later tensor lie where its type does not align.
    if (!before.empty()) file.Add<char>(before, "U8", {1}, {0});
    file.Add("m.weight_packed", "I32", {n, (k + 7) / 8}, Packed());
    file.Add("m.weight_scale", "F32", {n, groups()}, Scales());
    file.Add<int64_t>("m.weight_shape", "I64", {2}, {n, k});
    if (with_zeros) file.Add("m.weight_zero_point", "I32", {(n + 7) / 8, groups()}, PackedZeros());
    return file;
  }
};

StoredFormat FormOf(const ByHand& weight, bool with_zeros) {
  return {.is_packed = true, .num_bits = 4, .group = weight.group, .has_zero_points = with_zeros};
}

void ExpectEqual(const ByHand& weight, const HostQuantized& read, bool with_zeros) {
  std::vector<float> row(static_cast<size_t>(weight.k));
  for (int64_t r = 0; r < weight.n; ++r) {
    DequantizeRow(read.matrix, read.format, r, row);
    for (int64_t i = 0; i < weight.k; ++i) {
      const int64_t g = i / weight.group;
      const int zero = with_zeros ? weight.Zero(r, g) : 8;
      EXPECT_EQ(row[static_cast<size_t>(i)],
                static_cast<float>(weight.Code(r, i) - zero) * weight.Scale(r, g))
          << "row " << r << " column " << i;
    }
  }
}

class QuantizedCheckpointTest : public testing::Test {
 protected:
  std::string CheckError(const TensorFile& file, int64_t n, int64_t k, const StoredFormat& form) {
    return CheckQuantized(*file.Open(folder_), "m", n, k, form).message();
  }
  TestFolder folder_;
};

TEST_F(QuantizedCheckpointTest, FourBitsInGroups) {
  for (const ByHand& weight : {ByHand{3, 64, 32}, {9, 96, 32}, {2, 256, 128}, {1, 68, 64}}) {
    for (const bool with_zeros : {false, true}) {
      for (const std::string before : {"", "first"}) {
        const auto checkpoint = weight.File(with_zeros, before).Open(folder_);
        const StoredFormat form = FormOf(weight, with_zeros);
        ASSERT_EQ(CheckQuantized(*checkpoint, "m", weight.n, weight.k, form).message(), "");
        const auto read = ReadQuantized(*checkpoint, "m", weight.n, weight.k, form);
        ASSERT_TRUE(read.ok()) << read.status().message();
        EXPECT_EQ(read->format, (WeightFormat{WeightType::kInt4, weight.group, with_zeros}));
        EXPECT_EQ(read->matrix.k, weight.k);
        ExpectEqual(weight, *read, with_zeros);
      }
    }
  }
}

TEST_F(QuantizedCheckpointTest, CodesAndAlignedScalesAreNotCopied) {
  const ByHand weight = {4, 64, 32};
  const auto checkpoint = weight.File(false).Open(folder_);
  const auto read = ReadQuantized(*checkpoint, "m", 4, 64, FormOf(weight, false)).value();
  EXPECT_EQ(read.matrix.codes.data, checkpoint->Data("m.weight_packed").data());
  EXPECT_TRUE(read.codes.empty());
  EXPECT_EQ(read.matrix.zero_points.data, nullptr);
}

// Groups we do not have become smaller ones with the same scale.
TEST_F(QuantizedCheckpointTest, OtherGroupsAreSplit) {
  for (const ByHand& weight : {ByHand{9, 192, 96}, {3, 512, 256}, {3, 160, 96}, {9, 160, 160}}) {
    for (const bool with_zeros : {false, true}) {
      const auto checkpoint = weight.File(with_zeros).Open(folder_);
      StoredFormat form = FormOf(weight, with_zeros);
      if (weight.group == weight.k) form.group = 0;  // strategy channel
      ASSERT_EQ(CheckQuantized(*checkpoint, "m", weight.n, weight.k, form).message(), "");
      const auto read = ReadQuantized(*checkpoint, "m", weight.n, weight.k, form).value();
      EXPECT_EQ(read.matrix.scales.dim(1), (weight.k + read.format.group - 1) / read.format.group);
      ExpectEqual(weight, read, with_zeros);
    }
  }
}

TEST_F(QuantizedCheckpointTest, OldWritersStoredZeroPointsPlainly) {
  const ByHand weight = {3, 64, 32};
  std::vector<int8_t> zeros;
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t g = 0; g < 2; ++g) zeros.push_back(static_cast<int8_t>(weight.Zero(row, g) - 8));
  }
  TensorFile file = weight.File(false);
  file.Add("m.weight_zero_point", "I8", {3, 2}, zeros);
  const StoredFormat form = FormOf(weight, true);
  EXPECT_EQ(CheckError(file, 3, 64, form), "");
  ExpectEqual(weight, ReadQuantized(*file.Open(folder_), "m", 3, 64, form).value(), true);
  // Beside symmetric weights they must be 0.
  EXPECT_THAT(CheckError(file, 3, 64, FormOf(weight, false)), HasSubstr("holds zero points"));
  TensorFile symmetric = weight.File(false);
  symmetric.Add("m.weight_zero_point", "I8", {3, 2}, std::vector<int8_t>(6));
  EXPECT_EQ(CheckError(symmetric, 3, 64, FormOf(weight, false)), "");
  zeros[2] = 8;
  TensorFile wide = weight.File(false);
  wide.Add("m.weight_zero_point", "I8", {3, 2}, zeros);
  EXPECT_THAT(ReadQuantized(*wide.Open(folder_), "m", 3, 64, form).status().message(),
              HasSubstr("beyond 4 bits"));
}

TEST_F(QuantizedCheckpointTest, EightBits) {
  const int64_t n = 3;
  const int64_t k = 10;
  std::vector<int8_t> codes;
  std::vector<uint8_t> packed(static_cast<size_t>(n * 12), 0xAA);
  for (int64_t i = 0; i < n * k; ++i) {
    codes.push_back(static_cast<int8_t>(i * 37 % 256 - 128));
    packed[static_cast<size_t>(i / k * 12 + i % k)] =
        static_cast<uint8_t>(static_cast<int>(codes.back()) + 128);
  }
  const std::vector<BFloat16> scales = {ToBFloat16(0.5f), ToBFloat16(-2), ToBFloat16(0.125f)};
  TensorFile plain;
  plain.Add("m.weight", "I8", {n, k}, codes);
  plain.Add("m.weight_scale", "BF16", {n, 1}, scales);
  TensorFile words;
  words.Add("m.weight_packed", "I32", {n, 3}, packed);
  words.Add("m.weight_scale", "BF16", {n}, scales);
  TensorFile whole;
  whole.Add("m.weight", "I8", {n, k}, codes);
  whole.Add("m.weight_scale", "BF16", {}, std::vector<BFloat16>{ToBFloat16(3)});
  const StoredFormat forms[] = {{false, 8, 0, false}, {true, 8, 0, false}, {false, 8, -1, false}};
  const TensorFile* files[] = {&plain, &words, &whole};
  for (int f = 0; f < 3; ++f) {
    const auto checkpoint = files[f]->Open(folder_);
    ASSERT_EQ(CheckQuantized(*checkpoint, "m", n, k, forms[f]).message(), "");
    const auto read = ReadQuantized(*checkpoint, "m", n, k, forms[f]).value();
    EXPECT_EQ(read.format, WeightFormat::kInt8);
    std::vector<float> row(static_cast<size_t>(k));
    for (int64_t r = 0; r < n; ++r) {
      DequantizeRow(read.matrix, read.format, r, row);
      const float scale = f == 2 ? 3 : ToFloat(scales[static_cast<size_t>(r)]);
      for (int64_t i = 0; i < k; ++i) {
        EXPECT_EQ(row[static_cast<size_t>(i)],
                  static_cast<float>(codes[static_cast<size_t>(r * k + i)]) * scale);
      }
    }
  }
}

TEST_F(QuantizedCheckpointTest, WhatDoesNotFitIsNamed) {
  const ByHand weight = {4, 64, 32};
  const StoredFormat form = FormOf(weight, false);
  const TensorFile file = weight.File(false);
  EXPECT_THAT(CheckError(TensorFile(file), 4, 72, form),
              HasSubstr("m.weight_packed is I32 [4, 8], quantization_config asks for I32 [4, 9]"));
  EXPECT_THAT(CheckError(file, 4, 64, {true, 4, 64, false}),
              HasSubstr("m.weight_scale has shape [4, 2], quantization_config asks for [4, 1]"));
  EXPECT_THAT(CheckError(file, 4, 64, {true, 4, 32, true}),
              HasSubstr("has no tensor m.weight_zero_point"));
  EXPECT_THAT(CheckError(file, 4, 64, {true, 4, -1, false}), HasSubstr("asks for one element"));
  EXPECT_THAT(CheckError(file, 4, 64, {false, 8, 0, false}), HasSubstr("has no tensor m.weight"));
  TensorFile reordered = weight.File(false);
  reordered.Add("m.weight_g_idx", "I32", {64}, std::vector<int32_t>(64));
  EXPECT_THAT(CheckError(reordered, 4, 64, form), HasSubstr("activation order"));
  TensorFile integer_scales;
  integer_scales.Add("m.weight", "I8", {1, 4}, std::vector<int8_t>(4));
  integer_scales.Add("m.weight_scale", "I32", {1, 1}, std::vector<int32_t>(1));
  EXPECT_THAT(CheckError(integer_scales, 1, 4, {false, 8, 0, false}),
              HasSubstr("elements of type I32"));
}

TEST_F(QuantizedCheckpointTest, AShapeThatContradictsIsNamed) {
  const ByHand weight = {4, 64, 32};
  TensorFile file;
  file.Add("m.weight_packed", "I32", {4, 8}, weight.Packed());
  file.Add("m.weight_scale", "F32", {4, 2}, weight.Scales());
  file.Add<int64_t>("m.weight_shape", "I64", {2}, {4, 63});
  const auto read = ReadQuantized(*file.Open(folder_), "m", 4, 64, FormOf(weight, false));
  EXPECT_THAT(read.status().message(), HasSubstr("m.weight_shape says [4, 63]"));
}

TEST_F(QuantizedCheckpointTest, NamesOfAModulesTensors) {
  EXPECT_THAT(QuantizedTensorNames("m", {true, 4, 32, true}),
              testing::UnorderedElementsAre("m.weight_packed", "m.weight_scale",
                                            "m.weight_zero_point", "m.weight_shape"));
}

}  // namespace
}  // namespace runahead
