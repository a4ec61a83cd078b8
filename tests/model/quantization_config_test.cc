#include "model/quantization_config.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::json;

const std::vector<ModuleOfModel>& Modules() {
  static const std::vector<ModuleOfModel> modules = {
      {"model.embed_tokens", true},     {"model.layers.0.self_attn.q_proj"},
      {"model.layers.0.mlp.down_proj"}, {"model.layers.1.self_attn.q_proj"},
      {"model.layers.1.mlp.down_proj"}, {"lm_head"}};
  return modules;
}

// llm-compressor's W4A16, as it writes it.
Json W4A16() {
  return Json::parse(R"({
    "config_groups": {"group_0": {
      "input_activations": null, "output_activations": null, "targets": ["Linear"],
      "weights": {"actorder": null, "block_structure": null, "dynamic": false, "group_size": 128,
                  "num_bits": 4, "observer": "minmax", "observer_kwargs": {}, "strategy": "group",
                  "symmetric": true, "type": "int"}}},
    "format": "pack-quantized", "global_compression_ratio": 1.5, "ignore": ["lm_head"],
    "kv_cache_scheme": null, "quant_method": "compressed-tensors",
    "quantization_status": "compressed", "sparsity_config": {}, "transform_config": {}})");
}

Json W8A8() {
  Json json = W4A16();
  Json& group = json["config_groups"]["group_0"];
  group["weights"] = {{"num_bits", 8},         {"type", "int"},         {"symmetric", true},
                      {"strategy", "channel"}, {"group_size", nullptr}, {"dynamic", false}};
  group["input_activations"] = {{"num_bits", 8},
                                {"type", "int"},
                                {"symmetric", true},
                                {"strategy", "token"},
                                {"dynamic", true}};
  json["format"] = "int-quantized";
  return json;
}

std::map<std::string, StoredFormat> Read(const Json& json) {
  auto modules = QuantizedModules(json.dump(), Modules());
  EXPECT_TRUE(modules.ok()) << modules.status().message();
  return modules.ok() ? *modules : std::map<std::string, StoredFormat>();
}

std::string Error(const Json& json) {
  const auto modules = QuantizedModules(json.dump(), Modules());
  return modules.ok() ? "no error" : modules.status().message();
}

TEST(QuantizationConfigTest, GroupsOfFourBits) {
  const auto modules = Read(W4A16());
  EXPECT_EQ(modules.size(), 4u);  // the linear layers but the ignored head; not the table
  const StoredFormat expected = {.is_packed = true, .num_bits = 4, .group = 128};
  EXPECT_EQ(modules.at("model.layers.1.mlp.down_proj"), expected);
  EXPECT_EQ(expected.weight_format(), WeightFormat::kInt4);
}

TEST(QuantizationConfigTest, ChannelsOfEightBits) {
  const StoredFormat plain = {.is_packed = false, .num_bits = 8, .group = 0};
  EXPECT_EQ(Read(W8A8()).at("model.layers.0.self_attn.q_proj"), plain);
  EXPECT_EQ(plain.weight_format(), WeightFormat::kInt8);
  Json json = W8A8();
  json["format"] = "naive-quantized";
  EXPECT_EQ(Read(json).at("model.layers.0.self_attn.q_proj"), plain);
  json["format"] = "pack-quantized";
  json["config_groups"]["group_0"].erase("input_activations");
  const StoredFormat packed = {
      .is_packed = true, .num_bits = 8, .group = 0, .keeps_activations = true};
  EXPECT_EQ(Read(json).at("model.layers.0.self_attn.q_proj"), packed);
  EXPECT_EQ(packed.weight_format(), WeightFormat::kInt8A16);
}

// Larger and odd groups become smaller ones that share a scale.
TEST(QuantizationConfigTest, TheLargestGroupThatFits) {
  Json json = W4A16();
  Json& weights = json["config_groups"]["group_0"]["weights"];
  for (const auto& [stored, group] :
       {std::pair(32, 32), {64, 64}, {96, 32}, {192, 64}, {256, 128}}) {
    weights["group_size"] = stored;
    const StoredFormat form = Read(json).at("model.layers.0.mlp.down_proj");
    EXPECT_EQ(form.group, stored);
    EXPECT_EQ(form.weight_format(), (WeightFormat{WeightType::kInt4, group, false}));
  }
  weights["strategy"] = "channel";
  weights["symmetric"] = false;
  weights.erase("group_size");
  const StoredFormat form = Read(json).at("model.layers.0.mlp.down_proj");
  EXPECT_EQ(form, (StoredFormat{.group = 0, .has_zero_points = true}));
  EXPECT_EQ(form.weight_format(), (WeightFormat{WeightType::kInt4, 128, true}));
}

TEST(QuantizationConfigTest, AStrategyThatIsNotSpelledOutFollowsTheGroup) {
  Json json = W4A16();
  Json& weights = json["config_groups"]["group_0"]["weights"];
  weights.erase("strategy");
  EXPECT_EQ(Read(json).at("model.layers.0.mlp.down_proj").group, 128);
  weights["group_size"] = -1;
  EXPECT_EQ(Read(json).at("model.layers.0.mlp.down_proj").group, 0);
  weights.erase("group_size");
  EXPECT_EQ(Read(json).at("model.layers.0.mlp.down_proj").group, -1);
}

// A name beats an expression, that beats a class; `ignore` beats all of them.
TEST(QuantizationConfigTest, TheMostParticularTargetCounts) {
  Json json = W4A16();
  json["format"] = "mixed-precision";
  const auto with_group = [&](int size, const Json& targets) {
    Json group = json["config_groups"]["group_0"];
    group["weights"]["group_size"] = size;
    group["targets"] = targets;
    return group;
  };
  json["config_groups"]["group_1"] = with_group(64, {"re:.*layers.1.*"});
  json["config_groups"]["group_2"] = with_group(32, {"model.layers.1.mlp.down_proj"});
  json["ignore"] = {"re:.*layers\\.0\\.self_attn", "lm_head"};
  const auto modules = Read(json);
  EXPECT_EQ(modules.size(), 3u);
  EXPECT_EQ(modules.at("model.layers.0.mlp.down_proj").group, 128);
  EXPECT_EQ(modules.at("model.layers.1.self_attn.q_proj").group, 64);
  EXPECT_EQ(modules.at("model.layers.1.mlp.down_proj").group, 32);
  json["ignore"].push_back("Linear");
  EXPECT_THAT(Read(json), IsEmpty());
}

TEST(QuantizationConfigTest, EmbeddingsAndMixedFormats) {
  Json json = W4A16();
  json["format"] = "mixed-precision";
  Json table = W8A8()["config_groups"]["group_0"];
  table.erase("input_activations");
  table["targets"] = {"Embedding"};
  table["format"] = "int-quantized";
  json["config_groups"]["group_1"] = table;
  const auto modules = Read(json);
  EXPECT_EQ(modules.at("model.embed_tokens"), (StoredFormat{false, 8, 0, false}));
  EXPECT_EQ(modules.at("model.layers.0.mlp.down_proj"), (StoredFormat{true, 4, 128, false}));
}

TEST(QuantizationConfigTest, WhatIsNotSupportedIsNamed) {
  const auto with = [](Json json, const char* pointer, const Json& value) {
    json[Json::json_pointer(pointer)] = value;
    return Error(json);
  };
  const std::string weights = "/config_groups/group_0/weights/";
  const std::string inputs = "/config_groups/group_0/input_activations/";
  const auto weight = [&](const char* key, const Json& value) {
    return with(W4A16(), (weights + key).c_str(), value);
  };
  const auto input = [&](const char* key, const Json& value) {
    return with(W8A8(), (inputs + key).c_str(), value);
  };
  EXPECT_THAT(weight("num_bits", 3), HasSubstr("3-bit weights are not supported"));
  EXPECT_THAT(weight("type", "float"), HasSubstr("type float is not supported"));
  EXPECT_THAT(weight("group_size", 16), HasSubstr("group_size 16 is not supported; 32, 64, 128"));
  EXPECT_THAT(weight("group_size", 48), HasSubstr("group_size 48"));
  EXPECT_THAT(weight("group_size", "many"), HasSubstr("group_size 0 is not supported"));
  EXPECT_THAT(weight("actorder", "group"), HasSubstr("actorder"));
  EXPECT_THAT(weight("actorder", true), HasSubstr("actorder"));
  EXPECT_EQ(weight("actorder", "weight"), "no error");
  EXPECT_EQ(weight("actorder", "static"), "no error");
  EXPECT_THAT(weight("strategy", "block"), HasSubstr("strategy block is not supported"));
  EXPECT_THAT(weight("num_bits", 8), HasSubstr("8-bit weights in groups"));
  EXPECT_THAT(weight("dynamic", true), HasSubstr("dynamic weights"));
  EXPECT_THAT(with(W8A8(), (weights + "symmetric").c_str(), false), HasSubstr("zero points"));
  EXPECT_THAT(input("dynamic", false), HasSubstr("static activation scales are not supported"));
  EXPECT_THAT(input("dynamic", "local"), HasSubstr("static activation scales"));
  EXPECT_THAT(input("symmetric", false), HasSubstr("activations with zero points"));
  EXPECT_THAT(input("type", "float"), HasSubstr("input_activations: type float"));
  EXPECT_THAT(input("num_bits", 4), HasSubstr("4-bit activations"));
  EXPECT_THAT(input("strategy", "tensor"), HasSubstr("strategy tensor of activations"));
  EXPECT_THAT(with(W4A16(), "/config_groups/group_0/output_activations", Json::object()),
              HasSubstr("output_activations"));
  EXPECT_THAT(with(W4A16(), "/format", "marlin-24"), HasSubstr("marlin-24 of 4-bit weights"));
  EXPECT_THAT(with(W4A16(), "/format", "int-quantized"), HasSubstr("int-quantized of 4-bit"));
  EXPECT_THAT(with(W4A16(), "/quant_method", "awq"), HasSubstr("awq is not supported"));
  EXPECT_THAT(with(W4A16(), "/quantization_status", "frozen"), HasSubstr("frozen"));
  EXPECT_THAT(with(W4A16(), "/kv_cache_scheme", {{"num_bits", 8}}), HasSubstr("kv_cache_scheme"));
  EXPECT_THAT(with(W4A16(), "/sparsity_config", {{"format", "sparse-24-bitmask"}}),
              HasSubstr("sparsity_config: not supported"));
  EXPECT_EQ(with(W4A16(), "/sparsity_config", {{"format", "dense"}}), "no error");
  EXPECT_THAT(with(W4A16(), "/transform_config", {{"config_groups", {{"u", 1}}}}),
              HasSubstr("transform_config"));
}

TEST(QuantizationConfigTest, MalformedPartsAreNamed) {
  EXPECT_THAT(QuantizedModules("[]", Modules()).status().message(), HasSubstr("not an object"));
  EXPECT_THAT(QuantizedModules("{", Modules()).status().message(), HasSubstr("not an object"));
  EXPECT_THAT(Error(Json::object()), HasSubstr("config_groups: missing"));
  const auto with_group = [](const Json& group) {
    Json json = W4A16();
    json["config_groups"]["group_0"] = group;
    return Error(json);
  };
  EXPECT_THAT(with_group({"Linear"}), HasSubstr("schemes by name"));
  EXPECT_THAT(with_group(Json::object()), HasSubstr("group_0.targets: missing"));
  EXPECT_THAT(with_group({{"targets", {"Linear"}}}), HasSubstr("weights: missing"));
  EXPECT_THAT(with_group({{"targets", {"Linear"}}, {"weights", 4}}), HasSubstr("not an object"));
  EXPECT_THAT(with_group({{"targets", "Linear"}}), HasSubstr("targets: not a list"));
  EXPECT_THAT(with_group({{"targets", {1}}}), HasSubstr("1 is no name"));
  EXPECT_THAT(with_group({{"targets", {"re:("}}}), HasSubstr("no regular expression"));
}

TEST(QuantizationConfigTest, PatternsCannotHoldUsUp) {
  Json json = W4A16();
  json["ignore"] = {"re:((.+)+)+[0-9]$"};
  EXPECT_THAT(Error(json), AllOf(HasSubstr("quantization_config"), HasSubstr("takes too long")));
  json["ignore"] = Json::array();
  for (int i = 0; i < 65; ++i) json["ignore"].push_back("re:" + std::to_string(i));
  EXPECT_THAT(Error(json), HasSubstr("more than 64 regular expressions"));
}

}  // namespace
}  // namespace runahead
