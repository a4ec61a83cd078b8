#include "model/weight_formats.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::HasSubstr;

constexpr WeightFormat kGroups64 = {WeightType::kInt4, 64, false};
constexpr WeightFormat kZeros32 = {WeightType::kInt4, 32, true};

ModelConfig TwoLayers() {
  ModelConfig config;
  config.num_layers = 2;
  return config;
}

WeightFormats Wanted(WeightFormat format, const std::vector<std::string>& rules) {
  WeightFormats wanted = format;
  for (const std::string& rule : rules) {
    wanted.rules.push_back(ParseFormatRule(rule, WeightFormat::kInt4).value());
  }
  return wanted;
}

std::string Refusal(const std::vector<std::string>& rules) {
  const auto formats = FormatsOf(TwoLayers(), Wanted(WeightFormat::kInt4, rules));
  return formats.ok() ? "no error" : formats.status().message();
}

TEST(WeightFormatNameTest, NamesComeBack) {
  for (const WeightFormat format :
       {WeightFormat::kInt8, WeightFormat::kInt8A16, WeightFormat::kInt4, kGroups64, kZeros32}) {
    EXPECT_EQ(ParseQuantization(WeightFormatName(format), kZeros32).value(), format);
  }
  EXPECT_EQ(WeightFormatName(kZeros32), "int4-g32-zp");
  EXPECT_EQ(WeightFormatName(WeightFormat::kF32), "f32");
  EXPECT_EQ(ParseQuantization("none", kZeros32).value(), std::nullopt);
  EXPECT_EQ(ParseQuantization("int4", kZeros32).value(), kZeros32);
  for (const char* name : {"", "int3", "int4-g16", "int4-g128zp", "INT8", "bf16"}) {
    EXPECT_THAT(ParseQuantization(name, kZeros32).status().message(),
                HasSubstr("none of none, int8, int8-a16, int4"))
        << name;
  }
}

TEST(FormatRuleTest, IsAPatternAndAFormat) {
  const FormatRule rule = ParseFormatRule("*.down_proj=int4-g64", WeightFormat::kInt4).value();
  EXPECT_EQ(rule, (FormatRule{"*.down_proj", kGroups64}));
  EXPECT_EQ(ParseFormatRule("lm_head=none", WeightFormat::kInt4).value().format, std::nullopt);
  for (const char* text : {"lm_head", "=int8", ""}) {
    EXPECT_THAT(ParseFormatRule(text, WeightFormat::kInt4).status().message(),
                HasSubstr("not of the form pattern=format"));
  }
  EXPECT_FALSE(ParseFormatRule("lm_head=int9", WeightFormat::kInt4).ok());
}

TEST(MatchesModuleTest, WholeNamesAndWhatFollowsADot) {
  const char* down = "model.layers.10.mlp.down_proj";
  for (const char* pattern :
       {"model.layers.10.mlp.down_proj", "down_proj", "mlp.down_proj", "*", "*.down_proj",
        "layers.1?.*", "model.layers.*.mlp.*", "d*_*j", "10.*", "***"}) {
    EXPECT_TRUE(MatchesModule(pattern, down)) << pattern;
  }
  for (const char* pattern : {"", "down", "own_proj", "layers.1.*", "*.up_proj", "?", "lm_head",
                              "layers.?.*", "down_proj.*"}) {
    EXPECT_FALSE(MatchesModule(pattern, down)) << pattern;
  }
  EXPECT_TRUE(MatchesModule("lm_head", "lm_head"));
}

TEST(FormatsOfTest, OneFormatForAll) {
  const ModelFormats bf16 = FormatsOf(TwoLayers(), {}).value();
  EXPECT_EQ(bf16.embedding, WeightFormat::kBF16);
  EXPECT_EQ(bf16.layers[1].down, WeightFormat::kBF16);
  const ModelFormats f32 = FormatsOf(TwoLayers(), WeightFormat::kF32).value();
  EXPECT_EQ(f32.head, WeightFormat::kF32);
  const ModelFormats int4 = FormatsOf(TwoLayers(), kGroups64).value();
  ASSERT_EQ(int4.layers.size(), 2u);
  for (const LayerFormats& layer : int4.layers) {
    EXPECT_EQ(layer.qkv, kGroups64);
    EXPECT_EQ(layer.output, kGroups64);
    EXPECT_EQ(layer.gate_up, kGroups64);
    EXPECT_EQ(layer.down, kGroups64);
  }
  EXPECT_EQ(int4.head, kGroups64);
  EXPECT_EQ(int4.embedding, WeightFormat::kInt8) << "a table has one scale a row";
}

TEST(FormatsOfTest, TheLastRuleThatMatchesHolds) {
  const ModelFormats formats =
      FormatsOf(TwoLayers(), Wanted(WeightFormat::kInt4, {"down_proj=int8", "layers.1.*=none",
                                                          "layers.1.mlp.down_proj=int4-g32-zp",
                                                          "lm_head=int8", "embed_tokens=none"}))
          .value();
  EXPECT_EQ(formats.layers[0].down, WeightFormat::kInt8);
  EXPECT_EQ(formats.layers[0].gate_up, WeightFormat::kInt4);
  EXPECT_EQ(formats.layers[1].gate_up, WeightFormat::kBF16);
  EXPECT_EQ(formats.layers[1].down, kZeros32);
  EXPECT_EQ(formats.head, WeightFormat::kInt8);
  EXPECT_EQ(formats.embedding, WeightFormat::kBF16);
}

TEST(FormatsOfTest, RulesQuantizeAloneToo) {
  WeightFormats wanted = WeightFormat::kF32;
  wanted.rules.push_back({"mlp.*", kGroups64});
  const ModelFormats formats = FormatsOf(TwoLayers(), wanted).value();
  EXPECT_EQ(formats.layers[0].down, kGroups64);
  EXPECT_EQ(formats.layers[0].qkv, WeightFormat::kF32);
  EXPECT_EQ(formats.embedding, WeightFormat::kF32);
}

TEST(FormatsOfTest, RefusesWhatSplitsALayerOrNamesNothing) {
  EXPECT_THAT(Refusal({"k_proj=int8"}),
              HasSubstr("model.layers.0.self_attn.q_proj as int4-g128 and "
                        "model.layers.0.self_attn.k_proj as int8, but they are one layer"));
  EXPECT_THAT(Refusal({"layers.1.mlp.up_proj=none"}), HasSubstr("model.layers.1.mlp.up_proj"));
  EXPECT_EQ(Refusal({"q_proj=int8", "k_proj=int8", "v_proj=int8"}), "no error");
  EXPECT_THAT(Refusal({"down_porj=int8"}), HasSubstr("'down_porj' matches no weight"));
  EXPECT_THAT(Refusal({"layers.2.*=int8"}), HasSubstr("matches no weight"));
  // A rule that a later one hides is still one that matches.
  EXPECT_EQ(Refusal({"lm_head=int8", "lm_head=none"}), "no error");
}

}  // namespace
}  // namespace runahead
