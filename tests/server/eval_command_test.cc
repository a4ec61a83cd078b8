#include "server/eval_command.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::HasSubstr;

ServeConfig Model() {
  ServeConfig config;
  config.model = "models/demo/target";
  return config;
}

TEST(EvalCommandTest, AModelAsItIsHasNoReference) {
  EXPECT_FALSE(ReferenceConfig(Model(), {})->has_value());
}

TEST(EvalCommandTest, TheReferenceHasFullPrecision) {
  ServeConfig config = Model();
  config.kv_cache_dtype = "bf16";
  config.quantization = "int4";
  config.quantization_overrides = {"lm_head=int8"};
  config.threads = 2;
  const auto reference = ReferenceConfig(config, {}).value();
  ASSERT_TRUE(reference.has_value());
  EXPECT_EQ(reference->kv_cache_dtype, "auto");
  EXPECT_EQ(reference->quantization, "none");
  EXPECT_TRUE(reference->quantization_overrides.empty());
  EXPECT_EQ(reference->model, config.model);
  EXPECT_EQ(reference->threads, 2);
}

TEST(EvalCommandTest, AnotherCheckpointOrOtherSettings) {
  const auto other = ReferenceConfig(Model(), {.reference = "models/demo/draft"}).value();
  EXPECT_EQ(other->model, "models/demo/draft");
  const auto set =
      ReferenceConfig(Model(), {.reference_sets = {"dtype=f32", "kv_cache_dtype=f32"}}).value();
  EXPECT_EQ(set->dtype, "f32");
  EXPECT_EQ(set->kv_cache_dtype, "f32");
  EXPECT_FALSE(ReferenceConfig(Model(), {.reference_sets = {"dtype=f32"}, .no_reference = true})
                   ->has_value());
}

TEST(EvalCommandTest, WhatIsNoSettingIsNamed) {
  const auto error = [](const std::string& set) {
    return ReferenceConfig(Model(), {.reference_sets = {set}}).status().message();
  };
  EXPECT_THAT(error("dtype"), HasSubstr("'dtype' is no setting=value"));
  EXPECT_THAT(error("dtyp=f32"), HasSubstr("'dtyp=f32' is no setting=value"));
  EXPECT_THAT(error("dtype=f31"), HasSubstr("--reference-set dtype=f31"));
}

}  // namespace
}  // namespace runahead
