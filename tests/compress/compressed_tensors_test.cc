#include "compress/compressed_tensors.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "model/quantized_checkpoint.h"
#include "model/tensor_names.h"
#include "tests/model/safetensors_file.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using Json = nlohmann::json;

constexpr WeightFormat kInt4Zp{WeightType::kInt4, 32, true};

std::vector<float> Weights(int64_t n, int64_t k) {
  std::vector<float> values;
  for (int64_t i = 0; i < n * k; ++i) {
    values.push_back(static_cast<float>(i * 7919 % 1009) / 500 - 1.1f);
  }
  return values;
}

OwnedQuantizedMatrix Quantized(int64_t n, int64_t k, WeightFormat format) {
  std::vector<float> values = Weights(n, k);
  return QuantizeWeights(TensorView(values.data(), DType::kF32, {n, k}), format, {}).value();
}

StoredFormat FormOf(WeightFormat format) {
  if (format.type == WeightType::kInt8) return {false, 8, 0, false, format.keeps_activations};
  return {true, 4, format.group, format.has_zero_points};
}

// What is written is read back as the matrix it was, for sizes that fill words and groups or not.
TEST(CompressedTensorsTest, AreReadBackAsTheyWere) {
  const TestFolder folder;
  for (const WeightFormat format :
       {WeightFormat::kInt8, WeightFormat::kInt8A16, WeightFormat::kInt4, kInt4Zp,
        WeightFormat{WeightType::kInt4, 64, false}}) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 128}, {13, 160}, {1, 33}, {9, 70}}) {
      const OwnedQuantizedMatrix matrix = Quantized(n, k, format);
      const std::vector<PlannedTensor> tensors = PlanQuantized("m", n, k, format);
      std::filesystem::remove(folder.path() + "/model.safetensors");
      const auto writer =
          SafetensorsWriter::Create(folder.path() + "/model.safetensors", tensors).value();
      ASSERT_TRUE(writer->Append(TensorBytes(matrix)).ok());
      ASSERT_TRUE(writer->Finish().ok());

      const auto checkpoint = Checkpoint::Open(folder.path()).value();
      ASSERT_EQ(CheckQuantized(*checkpoint, "m", n, k, FormOf(format)).message(), "");
      const auto read = ReadQuantized(*checkpoint, "m", n, k, FormOf(format)).value();
      EXPECT_EQ(read.format, format);
      const QuantizedMatrix expected = matrix.view();
      for (int64_t row = 0; row < n; ++row) {
        const auto same = [row](const TensorView& a, const TensorView& b) {
          const auto bytes = static_cast<size_t>(a.dim(1) * DTypeBytes(a.dtype));
          return a.dtype == b.dtype && a.dim(1) == b.dim(1) &&
                 std::memcmp(static_cast<char*>(a.data) + row * a.row_stride * DTypeBytes(a.dtype),
                             static_cast<char*>(b.data) + row * b.row_stride * DTypeBytes(b.dtype),
                             bytes) == 0;
        };
        EXPECT_TRUE(same(read.matrix.codes, expected.codes)) << row;
        EXPECT_TRUE(same(read.matrix.scales, expected.scales)) << row;
        if (format.has_zero_points) {
          EXPECT_TRUE(same(read.matrix.zero_points, expected.zero_points)) << row;
        }
      }
    }
  }
}

std::map<std::string, WeightFormat> TinyModules() {
  return {{"model.embed_tokens", WeightFormat::kInt8},
          {"model.layers.0.mlp.down_proj", WeightFormat::kInt4},
          {"model.layers.0.mlp.up_proj", WeightFormat::kInt4},
          {"model.layers.0.self_attn.o_proj", WeightFormat::kBF16},
          {"lm_head", WeightFormat::kInt8}};
}

std::vector<ModuleOfModel> NamesOf(const std::map<std::string, WeightFormat>& modules) {
  std::vector<ModuleOfModel> names;
  for (const auto& [name, format] : modules) names.push_back({name, name == kEmbeddingModule});
  return names;
}

TEST(CompressedTensorsTest, TheConfigurationSaysWhatIsStored) {
  for (const bool with_table : {true, false}) {
    auto modules = TinyModules();
    if (!with_table) modules["model.embed_tokens"] = WeightFormat::kF32;
    const auto read = QuantizedModules(QuantizationConfigOf(modules), NamesOf(modules));
    ASSERT_TRUE(read.ok()) << read.status().message();
    for (const auto& [name, format] : modules) {
      EXPECT_EQ(read->contains(name), format.is_quantized()) << name;
      if (!format.is_quantized()) continue;
      EXPECT_EQ(read->at(name), FormOf(format)) << name;
    }
  }
}

TEST(CompressedTensorsTest, TheMostCommonFormatIsThatOfTheClass) {
  const Json json = Json::parse(QuantizationConfigOf(TinyModules()));
  EXPECT_EQ(json["format"], "mixed-precision");
  EXPECT_EQ(json["quant_method"], "compressed-tensors");
  EXPECT_EQ(json["quantization_status"], "compressed");
  EXPECT_THAT(json["ignore"], ElementsAre("model.layers.0.self_attn.o_proj"));
  const Json& groups = json["config_groups"];
  EXPECT_THAT(groups["group_0"]["targets"], ElementsAre("Linear"));
  EXPECT_EQ(groups["group_0"]["weights"]["group_size"], 128);
  EXPECT_EQ(groups["group_0"]["weights"]["symmetric"], true);
  EXPECT_EQ(groups["group_0"]["format"], "pack-quantized");
  EXPECT_TRUE(groups["group_0"]["input_activations"].is_null());
  EXPECT_THAT(groups["group_1"]["targets"], ElementsAre("lm_head"));
  EXPECT_EQ(groups["group_1"]["format"], "int-quantized");
  EXPECT_EQ(groups["group_1"]["weights"]["strategy"], "channel");
  EXPECT_EQ(groups["group_1"]["input_activations"]["strategy"], "token");
  EXPECT_EQ(groups["group_1"]["input_activations"]["dynamic"], true);
  EXPECT_THAT(groups["group_2"]["targets"], ElementsAre("model.embed_tokens"));
  EXPECT_TRUE(groups["group_2"]["input_activations"].is_null());
}

TEST(CompressedTensorsTest, OneFormatIsNamedAsSuch) {
  std::map<std::string, WeightFormat> modules = {{"model.embed_tokens", WeightFormat::kBF16},
                                                 {"lm_head", WeightFormat::kBF16},
                                                 {"model.layers.0.mlp.up_proj", kInt4Zp}};
  Json json = Json::parse(QuantizationConfigOf(modules));
  EXPECT_EQ(json["format"], "pack-quantized");
  EXPECT_THAT(json["ignore"], ElementsAre("lm_head"));
  EXPECT_EQ(json["config_groups"]["group_0"]["weights"]["symmetric"], false);
  modules["model.layers.0.mlp.up_proj"] = WeightFormat::kBF16;
  modules["model.embed_tokens"] = WeightFormat::kInt8;
  json = Json::parse(QuantizationConfigOf(modules));
  EXPECT_EQ(json["format"], "int-quantized");
  EXPECT_TRUE(json["ignore"].empty());  // no class is targeted
}

}  // namespace
}  // namespace runahead
