// Loading: what a checkpoint must hold, progress, and random weights.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

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

class TransformerLoadTest : public testing::Test {
 protected:
  std::string LoadError(const std::string& directory, const LoadOptions& options = {}) {
    const auto loaded = Transformer::Load(*backend_, directory, options);
    return loaded.ok() ? "no error" : loaded.status().message();
  }

  // A copy of a golden model whose configuration says something else.
  std::string Changed(const std::string& model, const char* key, const Json& value) {
    Json config = Json::parse(Contents(GoldenModel(model) + "/config.json"));
    config[key] = value;
    folder_.Write("config.json", config.dump());
    folder_.Write("model.safetensors", Contents(GoldenModel(model) + "/model.safetensors"));
    return folder_.path();
  }

  std::unique_ptr<Backend> backend_ = MakeBackend("ref", {}).value();
  TestFolder folder_;
};

TEST_F(TransformerLoadTest, ProgressRisesToOne) {
  for (const char* model : {"llama_gqa", "llama_bias", "llama_tied", "qwen2_bias", "qwen3_norm"}) {
    std::vector<double> fractions;
    LoadOptions options;
    options.progress = [&](double fraction) { fractions.push_back(fraction); };
    ASSERT_EQ(LoadError(GoldenModel(model), options), "no error");
    EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
    EXPECT_GT(fractions.size(), 10u);
    EXPECT_DOUBLE_EQ(fractions.back(), 1) << model;
  }
}

TEST_F(TransformerLoadTest, AConfigurationThatDoesNotFitTheTensorsIsNamed) {
  EXPECT_THAT(
      LoadError(Changed("llama_gqa", "vocab_size", 97)),
      HasSubstr("model.embed_tokens.weight has shape [96, 32], the configuration asks for"));
  EXPECT_THAT(LoadError(Changed("llama_gqa", "num_key_value_heads", 4)), HasSubstr("k_proj"));
  EXPECT_THAT(LoadError(Changed("llama_gqa", "num_hidden_layers", 3)),
              HasSubstr("has no tensor model.layers.2.input_layernorm.weight"));
  EXPECT_THAT(LoadError(Changed("llama_gqa", "num_hidden_layers", 1)),
              HasSubstr("holds the tensor model.layers.1."));
  EXPECT_THAT(LoadError(Changed("llama_bias", "attention_bias", false)), HasSubstr("_proj.bias"));
  EXPECT_THAT(LoadError(Changed("llama_gqa", "attention_bias", true)),
              HasSubstr("has no tensor model.layers.0.self_attn.q_proj.bias"));
  EXPECT_THAT(LoadError(Changed("llama_tied", "tie_word_embeddings", false)),
              HasSubstr("has no tensor lm_head.weight"));
}

TEST_F(TransformerLoadTest, ErrorsNameTheFolder) {
  EXPECT_THAT(LoadError(folder_.path()), HasSubstr(folder_.path()));
  EXPECT_THAT(LoadError(Changed("llama_gqa", "vocab_size", 97)), HasSubstr(folder_.path()));
}

TEST_F(TransformerLoadTest, DummyWeightsNeedOnlyAConfiguration) {
  folder_.Write("config.json", Contents(GoldenModel("qwen3_norm") + "/config.json"));
  EXPECT_THAT(LoadError(folder_.path()), HasSubstr("neither model.safetensors"));
  const auto dummy = Transformer::Load(*backend_, folder_.path(), {.format = LoadFormat::kDummy});
  ASSERT_TRUE(dummy.ok()) << dummy.status().message();
  const auto real = Transformer::Load(*backend_, GoldenModel("qwen3_norm"), {});
  EXPECT_EQ((*dummy)->weight_bytes(), (*real)->weight_bytes());
}

// A table that takes more than one staging piece (1 Mi elements), whose row v holds the pattern of
// v mod 7: tokens of equal pattern must give equal logits, and others must not.
TEST_F(TransformerLoadTest, LargeTablesArriveWhole) {
  const Json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"vocab_size", 33000},
                       {"hidden_size", 32},
                       {"intermediate_size", 32},
                       {"num_hidden_layers", 1},
                       {"num_attention_heads", 2},
                       {"tie_word_embeddings", true}};
  folder_.Write("config.json", config.dump());
  WriteCheckpoint(folder_, TensorsOf(LoadModelConfig(folder_.path()).value()),
                  [](const NamedShape& tensor, int64_t i) {
                    const bool is_table = tensor.name == "model.embed_tokens.weight";
                    const int64_t seed = is_table ? i / 32 % 7 * 32 + i % 32 : i;
                    return static_cast<float>(seed * 7919 % 101) / 50 - 1;
                  });
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16}) {
    TestModel model(folder_.path(), {.weights = format});
    const auto logits_of = [&](int32_t id) { return model.Logits(std::span(&id, 1), 1)[0]; };
    EXPECT_EQ(logits_of(32999), logits_of(32999 % 7));
    EXPECT_EQ(logits_of(32768), logits_of(32768 % 7));  // the first row of the second piece
    EXPECT_NE(logits_of(32999), logits_of(32998));
  }
}

TEST_F(TransformerLoadTest, RopeRowsFollowTheContextAskedFor) {
  const auto all = Transformer::Load(*backend_, GoldenModel("llama_gqa"), {});
  const auto few = Transformer::Load(*backend_, GoldenModel("llama_gqa"), {.max_context = 28});
  EXPECT_EQ((*all)->weight_bytes() - (*few)->weight_bytes(), (128 - 28) * 8 * 4);
}

TEST(TransformerLoadDeathTest, F16IsForBackendsThatComputeInIt) {
  const auto backend = MakeBackend("cpu", {.num_threads = 1}).value();
  EXPECT_DEATH((void)Transformer::Load(*backend, GoldenModel("llama_tied"),
                                       {.weight_format = WeightFormats(WeightFormat::kF16)}),
               "no f16 on this backend");
}

}  // namespace
}  // namespace runahead
