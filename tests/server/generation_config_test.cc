#include "server/generation_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(GenerationConfigTest, TakesWhatIsThere) {
  const auto defaults = ParseSamplingDefaults(
      R"({"do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "eos_token_id": [1, 2]})");
  ASSERT_TRUE(defaults.ok()) << defaults.status().message();
  EXPECT_FLOAT_EQ(defaults->temperature, 0.6f);
  EXPECT_FLOAT_EQ(defaults->top_p, 0.9f);
  EXPECT_EQ(defaults->top_k, 20);
  EXPECT_EQ(defaults->repetition_penalty, 1);
}

TEST(GenerationConfigTest, WithoutSamplingTheApisDefaultsHold) {
  for (const char* text :
       {R"({"temperature": 0.6})", R"({"do_sample": false, "top_k": 5})", "{}"}) {
    const auto defaults = ParseSamplingDefaults(text);
    ASSERT_TRUE(defaults.ok());
    EXPECT_EQ(defaults->temperature, 1) << text;
    EXPECT_EQ(defaults->top_k, 0) << text;
  }
}

TEST(GenerationConfigTest, RefusesWhatMakesNoSense) {
  for (const char* text :
       {"[]", "{", R"({"do_sample": true, "temperature": "hot"})",
        R"({"do_sample": true, "top_p": 1.5})", R"({"do_sample": true, "top_k": -1})"}) {
    const auto defaults = ParseSamplingDefaults(text);
    ASSERT_FALSE(defaults.ok()) << text;
    EXPECT_THAT(defaults.status().message(), testing::HasSubstr("generation_config.json"));
  }
}

TEST(GenerationConfigTest, ADirectoryWithoutOneHasTheApisDefaults) {
  const auto defaults = LoadSamplingDefaults("/nonexistent");
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->temperature, 1);
}

}  // namespace
}  // namespace runahead
