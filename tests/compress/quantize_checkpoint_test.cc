#include "compress/quantize_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "compress/compressed_tensors.h"
#include "model/tensor_names.h"
#include "model/weight_source.h"
#include "tests/model/safetensors_file.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

std::string Contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class QuantizeCheckpointTest : public testing::Test {
 protected:
  std::string Output() const { return folder_.path() + "/out"; }

  QuantizedSummary Quantize(const std::string& model, const WeightFormats& formats,
                            int64_t max_shard_bytes = 5'000'000'000) {
    const auto summary = QuantizeCheckpoint({.input = GoldenModel(model),
                                             .output = Output(),
                                             .formats = formats,
                                             .max_shard_bytes = max_shard_bytes});
    EXPECT_TRUE(summary.ok()) << summary.status().message();
    return summary.ok() ? *summary : QuantizedSummary();
  }

  std::string Error(const std::string& input, const std::string& output,
                    const WeightFormats& formats) {
    const auto summary = QuantizeCheckpoint({.input = input, .output = output, .formats = formats});
    return summary.ok() ? "no error" : summary.status().message();
  }

  TestFolder folder_;
};

// Every weight of the output is the input's, quantized as its format says; all else is untouched.
void ExpectQuantized(const std::string& input, const std::string& output, WeightFormat linear) {
  const ModelConfig before = LoadModelConfig(input).value();
  const ModelConfig after = LoadModelConfig(output).value();
  const auto from = OpenCheckpointSource(input, before).value();
  const auto source = OpenCheckpointSource(output, after);
  ASSERT_TRUE(source.ok()) << source.status().message();
  for (const NamedShape& tensor : TensorsOf(after)) {
    const bool is_tied_head = before.tie_embeddings && tensor.name == "lm_head.weight";
    const std::string name = is_tied_head ? "model.embed_tokens.weight" : tensor.name;
    const HostTensor values = from->Fetch(name, tensor.shape).value();
    const std::string module = ModuleOfWeight(tensor.name);
    if (tensor.shape.size() == 1) {
      const HostTensor copied = (*source)->Fetch(tensor.name, tensor.shape).value();
      ASSERT_EQ(copied.view.dtype, values.view.dtype);
      EXPECT_EQ(std::memcmp(copied.view.data, values.view.data,
                            static_cast<size_t>(values.view.NumBytes())),
                0)
          << tensor.name;
      continue;
    }
    const WeightFormat format = module == kEmbeddingModule ? WeightFormat::kInt8 : linear;
    const auto read = (*source)->FetchQuantized(module, tensor.shape[0], tensor.shape[1]).value();
    ASSERT_TRUE(read.has_value()) << module;
    EXPECT_EQ(read->format, format) << module;
    const OwnedQuantizedMatrix expected = QuantizeWeights(values.view, format, {}).value();
    std::vector<float> a(static_cast<size_t>(tensor.shape[1]));
    std::vector<float> b(a.size());
    for (int64_t row = 0; row < tensor.shape[0]; ++row) {
      DequantizeRow(read->matrix, format, row, a);
      DequantizeRow(expected.view(), format, row, b);
      ASSERT_EQ(a, b) << module << " row " << row;
    }
  }
}

TEST_F(QuantizeCheckpointTest, EveryWeightIsTheInputsQuantized) {
  const WeightFormat with_zeros{WeightType::kInt4, 32, true};
  for (const char* model : {"llama_gqa", "qwen2_bias", "llama_tied", "llama_mha_f16", "qwen3_norm",
                            "llama_mqa_sharded"}) {
    for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4, with_zeros}) {
      std::filesystem::remove_all(Output());
      const QuantizedSummary summary = Quantize(model, format);
      EXPECT_EQ(summary.num_quantized, summary.num_modules);
      EXPECT_EQ(summary.num_files, 1);
      EXPECT_LT(summary.bytes_after, summary.bytes_before);
      ExpectQuantized(GoldenModel(model), Output(), format);
    }
  }
}

std::vector<int32_t> Prompt(int count, int vocab) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(i * 7919 % vocab);
  return ids;
}

// The promise of the whole folder: rounded beforehand or while it loads, a model has the same bits.
TEST_F(QuantizeCheckpointTest, TheLogitsAreThoseOfQuantizingAtLoad) {
  WeightFormats mixed = WeightFormat{WeightType::kInt4, 64, false};
  mixed.rules = {{"down_proj", WeightFormat::kInt8},
                 {"layers.1.self_attn.*", std::nullopt},
                 {"model.embed_tokens", std::nullopt}};
  const WeightFormats all[] = {WeightFormat::kInt8, WeightFormat::kInt4,
                               WeightFormat{WeightType::kInt4, 32, true}, mixed};
  for (const char* name : {"llama_gqa", "llama_tied", "llama_mha_f16", "qwen2_bias"}) {
    for (const WeightFormats& formats : all) {
      std::filesystem::remove_all(Output());
      Quantize(name, formats);
      for (const char* backend : {"cpu", "ref"}) {
        TestModel at_load(GoldenModel(name),
                          {.backend = backend, .weights = formats, .kv = DType::kBF16});
        TestModel written(Output(),
                          {.backend = backend, .weights = WeightFormat::kBF16, .kv = DType::kBF16});
        const std::vector<int32_t> ids = Prompt(40, at_load.config().vocab_limit);
        EXPECT_EQ(at_load.Logits(ids, 128), written.Logits(ids, 128)) << name << " on " << backend;
      }
    }
  }
}

TEST_F(QuantizeCheckpointTest, ATiedHeadGetsWeightsOfItsOwn) {
  EXPECT_TRUE(Quantize("llama_tied", WeightFormat::kInt8).is_untied);
  const Json config = Json::parse(Contents(Output() + "/config.json"));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_TRUE(LoadModelConfig(Output())->quantized.contains("lm_head"));
}

TEST_F(QuantizeCheckpointTest, ATiedHeadStaysTiedWhereNeitherIsQuantized) {
  WeightFormats formats = WeightFormat::kInt4;
  formats.rules = {{"lm_head", std::nullopt}, {"model.embed_tokens", std::nullopt}};
  const QuantizedSummary summary = Quantize("llama_tied", formats);
  EXPECT_FALSE(summary.is_untied);
  EXPECT_EQ(summary.num_quantized, summary.num_modules - 1);
  const ModelConfig config = LoadModelConfig(Output()).value();
  EXPECT_TRUE(config.tie_embeddings);
  EXPECT_TRUE(OpenCheckpointSource(Output(), config).ok());
}

TEST_F(QuantizeCheckpointTest, RulesSingleOutWeights) {
  WeightFormats formats = WeightFormat::kInt4;
  formats.rules = {{"down_proj", WeightFormat::kInt8}, {"layers.1.self_attn.*", std::nullopt}};
  Quantize("llama_gqa", formats);
  const ModelConfig config = LoadModelConfig(Output()).value();
  ASSERT_TRUE(OpenCheckpointSource(Output(), config).ok());
  EXPECT_EQ(config.quantized.at("model.layers.0.mlp.down_proj").num_bits, 8);
  EXPECT_EQ(config.quantized.at("model.layers.0.mlp.up_proj").num_bits, 4);
  EXPECT_TRUE(config.quantized.contains("model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(config.quantized.contains("model.layers.1.self_attn.q_proj"));
}

TEST_F(QuantizeCheckpointTest, ShardsHaveAnIndexAndTheSameTensors) {
  Quantize("llama_gqa", WeightFormat::kInt4);
  const auto whole = Checkpoint::Open(Output()).value();
  const std::vector<std::string> names = whole->Names();
  std::map<std::string, std::string> bytes;
  for (const std::string& name : names) bytes[name] = whole->Data(name);
  std::filesystem::remove_all(Output());
  const QuantizedSummary summary = Quantize("llama_gqa", WeightFormat::kInt4, 4000);
  EXPECT_GT(summary.num_files, 2);
  const auto shards = Checkpoint::Open(Output());
  ASSERT_TRUE(shards.ok()) << shards.status().message();
  EXPECT_EQ((*shards)->Names(), names);
  for (const std::string& name : names) EXPECT_EQ((*shards)->Data(name), bytes[name]) << name;
  const Json index = Json::parse(Contents(Output() + "/model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], summary.bytes_after);
  EXPECT_FALSE(std::filesystem::exists(Output() + "/model.safetensors"));
}

TEST_F(QuantizeCheckpointTest, WhatGoesWithAModelIsCopied) {
  Quantize("tiny_llama", WeightFormat::kInt8);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    EXPECT_EQ(Contents(Output() + "/" + name), Contents(GoldenModel("tiny_llama") + "/" + name));
  }
  EXPECT_FALSE(std::filesystem::exists(Output() + "/golden.json"));
  const Json before = Json::parse(Contents(GoldenModel("tiny_llama") + "/config.json"));
  Json after = Json::parse(Contents(Output() + "/config.json"));
  after.erase("quantization_config");
  after["tie_word_embeddings"] = before["tie_word_embeddings"];
  EXPECT_EQ(after, before);
}

// Its inputs are 32 wide but those of down_proj, which are 48.
TEST_F(QuantizeCheckpointTest, RowsOfNoWholeGroupsAreListed) {
  EXPECT_EQ(
      Quantize("llama_gqa", WeightFormat{WeightType::kInt4, 32, false}).uneven,
      (std::vector<std::string>{"model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"}));
  std::filesystem::remove_all(Output());
  EXPECT_TRUE(Quantize("llama_gqa", WeightFormat::kInt8).uneven.empty());
}

TEST_F(QuantizeCheckpointTest, ProgressRisesToOne) {
  std::vector<double> fractions;
  const auto summary =
      QuantizeCheckpoint({.input = GoldenModel("llama_tied"),
                          .output = Output(),
                          .formats = WeightFormat::kInt8,
                          .progress = [&](double fraction) { fractions.push_back(fraction); }});
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_DOUBLE_EQ(fractions.back(), 1);
}

TEST_F(QuantizeCheckpointTest, NothingIsOverwritten) {
  const std::string input = GoldenModel("llama_gqa");
  folder_.Write("taken", "mine");
  EXPECT_THAT(Error(input, folder_.path() + "/taken", WeightFormat::kInt8), HasSubstr("exists"));
  EXPECT_THAT(Error(input, folder_.path(), WeightFormat::kInt8), HasSubstr("exists"));
  EXPECT_THAT(Error(input, folder_.path() + "/", WeightFormat::kInt8), HasSubstr("exists"));
  std::filesystem::create_directory(Output() + ".partial");
  EXPECT_THAT(Error(input, Output(), WeightFormat::kInt8),
              HasSubstr("left over from a run that was cut off"));
  EXPECT_EQ(Contents(folder_.path() + "/taken"), "mine");
}

TEST_F(QuantizeCheckpointTest, WhatCannotBeQuantizedIsNamedAndLeavesNothing) {
  EXPECT_THAT(Error("/nowhere", Output(), WeightFormat::kInt8), HasSubstr("/nowhere"));
  EXPECT_THAT(Error(GoldenModel("llama_gqa"), Output(), WeightFormats()),
              HasSubstr("nothing would be quantized"));
  WeightFormats split = WeightFormat::kInt8;
  split.rules = {{"q_proj", std::nullopt}};
  EXPECT_THAT(Error(GoldenModel("llama_gqa"), Output(), split), HasSubstr("one layer"));
  Quantize("llama_gqa", WeightFormat::kInt8);
  EXPECT_THAT(Error(Output(), Output() + "2", WeightFormat::kInt8),
              HasSubstr("is quantized already"));
  EXPECT_FALSE(std::filesystem::exists(Output() + "2"));
}

TEST_F(QuantizeCheckpointTest, AWeightThatIsNoNumberIsNamedAndLeavesNothing) {
  const TestFolder input("_input");
  input.Write("config.json", Contents(GoldenModel("llama_gqa") + "/config.json"));
  WriteCheckpoint(input, TensorsOf(LoadModelConfig(input.path()).value()),
                  [](const NamedShape& tensor, int64_t i) {
                    const bool is_bad =
                        tensor.name == "model.layers.1.mlp.up_proj.weight" && i == 5;
                    return is_bad ? NAN : 0.5f;
                  });
  EXPECT_THAT(Error(input.path(), Output(), WeightFormat::kInt8),
              HasSubstr("model.layers.1.mlp.up_proj.weight: "));
  EXPECT_FALSE(std::filesystem::exists(Output()));
  EXPECT_FALSE(std::filesystem::exists(Output() + ".partial"));
}

}  // namespace
}  // namespace runahead
