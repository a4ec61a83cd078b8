#include "model/model_config.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/model/safetensors_file.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::json;

Json Base(const std::string& architecture) {
  return {{"architectures", {architecture}}, {"vocab_size", 96},       {"hidden_size", 64},
          {"intermediate_size", 48},         {"num_hidden_layers", 3}, {"num_attention_heads", 4},
          {"num_key_value_heads", 2}};
}

Json With(Json config, const char* key, const Json& value) {
  config[key] = value;
  return config;
}

ModelConfig Parse(const Json& config, const std::string& generation = "") {
  auto parsed = ParseModelConfig(config.dump(), generation);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? *parsed : ModelConfig{};
}

std::string ErrorOf(const Json& config) {
  const auto parsed = ParseModelConfig(config.dump(), "");
  return parsed.ok() ? "no error" : parsed.status().message();
}

const Json kLlama = Base("LlamaForCausalLM");
const Json kMistral = Base("MistralForCausalLM");
const Json kQwen2 = Base("Qwen2ForCausalLM");
const Json kQwen3 = Base("Qwen3ForCausalLM");

TEST(ModelConfigTest, LlamaDefaults) {
  const ModelConfig config = Parse(kLlama);
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.qkv_rows(), 8 * 16);
  EXPECT_EQ(config.max_positions, 2048);
  EXPECT_FLOAT_EQ(config.rms_norm_eps, 1e-6f);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_EQ(config.rope_scaling.kind, RopeScalingKind::kNone);
  EXPECT_FALSE(config.tie_embeddings || config.qkv_bias || config.output_bias || config.mlp_bias ||
               config.qk_norm);
  EXPECT_THAT(config.sliding_windows, IsEmpty());
  EXPECT_THAT(config.eos_token_ids, IsEmpty());
  EXPECT_EQ(config.checkpoint_dtype, DType::kBF16);
  EXPECT_EQ(config.vocab_limit, 96);
}

TEST(ModelConfigTest, KvHeadsDefaultByFamily) {
  Json llama = kLlama;
  llama.erase("num_key_value_heads");
  EXPECT_EQ(Parse(llama).num_kv_heads, 4);
  Json mistral = With(kMistral, "num_attention_heads", 32);
  mistral.erase("num_key_value_heads");
  EXPECT_EQ(Parse(mistral).num_kv_heads, 8);
}

TEST(ModelConfigTest, BiasesByFamily) {
  const ModelConfig llama = Parse(With(With(kLlama, "attention_bias", true), "mlp_bias", true));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.mlp_bias);
  const ModelConfig qwen2 = Parse(kQwen2);
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.output_bias || qwen2.mlp_bias || qwen2.qk_norm);
  const ModelConfig qwen3 = Parse(kQwen3);
  EXPECT_FALSE(qwen3.qkv_bias);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_EQ(qwen3.head_dim, 128);  // Qwen3's own default, not hidden_size / heads
  EXPECT_FALSE(Parse(With(kMistral, "attention_bias", true)).qkv_bias);
}

TEST(ModelConfigTest, SlidingWindows) {
  EXPECT_THAT(Parse(With(kMistral, "sliding_window", 5)).sliding_windows, ElementsAre(5, 5, 5));
  EXPECT_THAT(Parse(With(kMistral, "sliding_window", nullptr)).sliding_windows, IsEmpty());
  EXPECT_THAT(Parse(kMistral).sliding_windows, ElementsAre(4096, 4096, 4096));
  Json qwen = With(kQwen2, "sliding_window", 7);
  EXPECT_THAT(Parse(qwen).sliding_windows, IsEmpty());  // the switch is off by default
  qwen["use_sliding_window"] = true;
  EXPECT_THAT(Parse(qwen).sliding_windows, IsEmpty());  // from layer 28 on
  qwen["max_window_layers"] = 1;
  EXPECT_THAT(Parse(qwen).sliding_windows, ElementsAre(0, 7, 7));
  qwen["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  EXPECT_THAT(Parse(qwen).sliding_windows, ElementsAre(7, 0, 0));
  EXPECT_THAT(ErrorOf(With(qwen, "layer_types", {"full_attention"})), HasSubstr("layer_types"));
  EXPECT_THAT(ErrorOf(With(qwen, "layer_types", {"a", "b", "c"})), HasSubstr("layer_types"));
  EXPECT_THAT(ErrorOf(With(kMistral, "sliding_window", 0)), HasSubstr("sliding_window"));
}

TEST(ModelConfigTest, RopeInBothSpellings) {
  const Json llama3 = {{"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}};
  Json old_way = With(kLlama, "rope_theta", 500000.0);
  old_way["rope_scaling"] = llama3;
  old_way["rope_scaling"]["rope_type"] = "llama3";
  Json new_way = kLlama;
  new_way["rope_parameters"] = old_way["rope_scaling"];
  new_way["rope_parameters"]["rope_theta"] = 500000.0;
  for (const Json& config : {old_way, new_way}) {
    const ModelConfig parsed = Parse(config);
    EXPECT_EQ(parsed.rope_theta, 500000);
    EXPECT_EQ(parsed.rope_scaling.kind, RopeScalingKind::kLlama3);
    EXPECT_EQ(parsed.rope_scaling.factor, 8);
    EXPECT_EQ(parsed.rope_scaling.high_freq_factor, 4);
    EXPECT_EQ(parsed.rope_scaling.original_max_positions, 8192);
  }
  // Llama 2's long-context variants spell the type "type".
  const ModelConfig linear =
      Parse(With(kLlama, "rope_scaling", {{"type", "linear"}, {"factor", 4}}));
  EXPECT_EQ(linear.rope_scaling.kind, RopeScalingKind::kLinear);
  EXPECT_EQ(linear.rope_scaling.factor, 4);
  EXPECT_EQ(Parse(With(kLlama, "rope_scaling", nullptr)).rope_scaling.kind, RopeScalingKind::kNone);
  EXPECT_EQ(Parse(With(kLlama, "rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}))
                .rope_theta,
            5e5);
}

TEST(ModelConfigTest, StopIdsOfBothFilesEachOnce) {
  const Json config = With(With(kLlama, "eos_token_id", {3, 5}), "bos_token_id", 1);
  const ModelConfig parsed = Parse(config, R"({"eos_token_id":[5,7],"temperature":0.6})");
  EXPECT_THAT(parsed.eos_token_ids, ElementsAre(3, 5, 7));
  EXPECT_EQ(parsed.bos_token_id, 1);
  EXPECT_THAT(Parse(With(kLlama, "eos_token_id", 2)).eos_token_ids, ElementsAre(2));
  EXPECT_FALSE(ParseModelConfig(kLlama.dump(), "[]").ok());
  EXPECT_FALSE(ParseModelConfig(kLlama.dump(), R"({"eos_token_id":96})").ok());
}

// The 7.6 B of Qwen2.5-7B and the 8.0 B of Llama-3.1-8B, from their published configurations.
TEST(ModelConfigTest, NumWeights) {
  Json llama = kLlama;
  llama.update({{"vocab_size", 128256},
                {"hidden_size", 4096},
                {"intermediate_size", 14336},
                {"num_hidden_layers", 32},
                {"num_attention_heads", 32},
                {"num_key_value_heads", 8}});
  EXPECT_EQ(Parse(llama).NumWeights(), 8'030'261'248);
  Json qwen = kQwen2;
  qwen.update({{"vocab_size", 152064},
               {"hidden_size", 3584},
               {"intermediate_size", 18944},
               {"num_hidden_layers", 28},
               {"num_attention_heads", 28},
               {"num_key_value_heads", 4}});
  EXPECT_EQ(Parse(qwen).NumWeights(), 7'615'616'512);
  EXPECT_EQ(
      Parse(kLlama).NumWeights() - Parse(With(kLlama, "tie_word_embeddings", true)).NumWeights(),
      96 * 64);
}

Json Quantization(const char* target) {
  const Json weights = {{"num_bits", 8}, {"strategy", "channel"}};
  return {{"format", "int-quantized"},
          {"config_groups", {{"group_0", {{"targets", {target}}, {"weights", weights}}}}}};
}

TEST(ModelConfigTest, QuantizedModulesAreListed) {
  EXPECT_TRUE(Parse(kLlama).quantized.empty());
  EXPECT_TRUE(Parse(With(kLlama, "quantization_config", nullptr)).quantized.empty());
  for (const char* key : {"quantization_config", "compression_config"}) {
    const ModelConfig config = Parse(With(kLlama, key, Quantization("Linear")));
    EXPECT_EQ(config.quantized.size(), 7u * static_cast<size_t>(config.num_layers) + 1) << key;
    EXPECT_TRUE(config.quantized.contains("lm_head"));
    EXPECT_FALSE(config.quantized.contains("model.embed_tokens"));
    EXPECT_EQ(config.quantized.at("model.layers.0.mlp.up_proj"),
              (StoredFormat{false, 8, 0, false, /*keeps_activations=*/true}));
  }
}

struct Refused {
  const char* name;
  Json config;
  const char* message;
};
class RefusedTest : public testing::TestWithParam<Refused> {};

TEST_P(RefusedTest, IsNamed) {
  EXPECT_THAT(ErrorOf(GetParam().config), HasSubstr(GetParam().message));
}

Json Without(Json config, const char* key) {
  config.erase(key);
  return config;
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedTest,
    testing::Values(
        Refused{"architecture", Base("GPT2LMHeadModel"), "architecture GPT2LMHeadModel is not"},
        Refused{"lists_known", Base("X"), "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM"},
        Refused{"none", Without(kLlama, "architectures"), "names no architecture"},
        Refused{"missing", Without(kLlama, "hidden_size"), "hidden_size: missing"},
        Refused{"text", With(kLlama, "hidden_size", "64"), "hidden_size"},
        Refused{"fraction", With(kLlama, "hidden_size", 64.5), "hidden_size"},
        Refused{"negative", With(kLlama, "num_hidden_layers", -1), "num_hidden_layers"},
        Refused{"zero_heads", With(kLlama, "num_attention_heads", 0), "num_attention_heads"},
        Refused{"huge", With(kLlama, "vocab_size", 1e300), "vocab_size"},
        Refused{"huge_dimension", With(kLlama, "intermediate_size", 1 << 30), "intermediate_size"},
        Refused{"gqa", With(kLlama, "num_key_value_heads", 3), "does not divide"},
        Refused{"head_dim", With(kLlama, "head_dim", 15), "head_dim"},
        Refused{"no_head_dim",
                With(With(kLlama, "num_attention_heads", 6), "num_key_value_heads", 2),
                "num_attention_heads does not divide hidden_size"},
        Refused{"activation", With(kLlama, "hidden_act", "gelu"), "activation \"gelu\""},
        Refused{"quantized", With(kLlama, "quantization_config", {{"quant_method", "gptq"}}),
                "quantization_config.quant_method: gptq is not supported"},
        Refused{"tied_table",
                With(With(kLlama, "quantization_config", Quantization("Embedding")),
                     "tie_word_embeddings", true),
                "a quantized embedding table"},
        Refused{"partial_rotary", With(kLlama, "partial_rotary_factor", 0.5), "partial_rotary"},
        Refused{"yarn", With(kQwen2, "rope_scaling", {{"type", "yarn"}, {"factor", 4}}),
                "rope type \"yarn\" is not supported"},
        Refused{"dynamic", With(kLlama, "rope_parameters", {{"rope_type", "dynamic"}}),
                "rope_parameters.rope_type"},
        Refused{"per_layer", With(kLlama, "rope_parameters", {{"full_attention", Json::object()}}),
                "per layer type"},
        Refused{"no_factor", With(kLlama, "rope_scaling", {{"type", "linear"}}), "factor: missing"},
        Refused{"bad_factor", With(kLlama, "rope_scaling", {{"type", "linear"}, {"factor", 0}}),
                "rope_scaling.factor: not a number above 0"},
        Refused{"llama3_part",
                With(kLlama, "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}),
                "low_freq_factor: missing"},
        Refused{"rope_text", With(kLlama, "rope_scaling", "linear"), "rope_scaling: not an object"},
        Refused{"theta", With(kLlama, "rope_theta", -1), "rope_theta"},
        Refused{"eps", With(kLlama, "rms_norm_eps", "x"), "rms_norm_eps"},
        Refused{"tied", With(kLlama, "tie_word_embeddings", 1), "tie_word_embeddings"},
        Refused{"dtype", With(kLlama, "torch_dtype", "int8"), "dtype"},
        Refused{"eos", With(kLlama, "eos_token_id", 96), "eos_token_id"},
        Refused{"eos_added", With(With(kLlama, "runahead_vocab_limit", 7), "eos_token_id", 7),
                "eos_token_id"},
        Refused{"limit", With(kLlama, "runahead_vocab_limit", 97), "runahead_vocab_limit"},
        Refused{"eos_text", With(kLlama, "eos_token_id", {"</s>"}), "eos_token_id"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(ModelConfigTest, AVocabularyMayBeWiderThanItsTokens) {
  const ModelConfig config = Parse(With(kLlama, "runahead_vocab_limit", 7));
  EXPECT_EQ(config.vocab_limit, 7);
  EXPECT_EQ(config.vocab_size, 96);
}

TEST(ModelConfigTest, BadJsonIsAnError) {
  for (const char* text : {"", "{", "[]", "null", "\xff", "{\"a\":1e999999}"}) {
    EXPECT_FALSE(ParseModelConfig(text, "").ok()) << text;
  }
}

TEST(ModelConfigTest, LoadsFromAFolderAndNamesIt) {
  TestFolder folder;
  EXPECT_EQ(LoadModelConfig(folder.path()).status().code(), StatusCode::kNotFound);
  folder.Write("config.json", kLlama.dump());
  EXPECT_THAT(LoadModelConfig(folder.path())->eos_token_ids, IsEmpty());
  folder.Write("generation_config.json", R"({"eos_token_id":4})");
  EXPECT_THAT(LoadModelConfig(folder.path())->eos_token_ids, ElementsAre(4));
  folder.Write("config.json", "{}");
  EXPECT_THAT(LoadModelConfig(folder.path()).status().message(), HasSubstr(folder.path()));
}

}  // namespace
}  // namespace runahead
