#include "server/quantize_command.h"

#include <filesystem>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/safetensors_file.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

using testing::HasSubstr;

const std::string kTiny = SourceDir() + "/tests/golden/models/tiny_llama";

TEST(QuantizeCommandTest, OptionsBecomeFormats) {
  const WeightFormats formats = WantedFormats({.quantization = "int4",
                                               .group_size = 64,
                                               .has_zero_points = true,
                                               .overrides = {"lm_head=int8", "o_proj=int4"}})
                                    .value();
  const WeightFormat int4{WeightType::kInt4, 64, true};
  EXPECT_EQ(formats.quantized, int4);
  ASSERT_EQ(formats.rules.size(), 2u);
  EXPECT_EQ(formats.rules[0], (FormatRule{"lm_head", WeightFormat::kInt8}));
  EXPECT_EQ(formats.rules[1], (FormatRule{"o_proj", int4}));
}

TEST(QuantizeCommandTest, WhatIsNoOptionIsNamed) {
  const auto error = [](const QuantizeCommandOptions& options) {
    return WantedFormats(options).status().message();
  };
  EXPECT_THAT(error({.quantization = "int3"}), HasSubstr("--quantization: 'int3' is none of"));
  EXPECT_THAT(error({.quantization = "int4", .group_size = 48}), HasSubstr("--group-size 48"));
  EXPECT_THAT(error({.quantization = "int4", .overrides = {"lm_head"}}),
              HasSubstr("--override: 'lm_head' is not of the form"));
}

TEST(QuantizeCommandTest, SaysWhatCameOfIt) {
  const TestFolder folder;
  const std::string output = folder.path() + "/small";
  std::ostringstream out;
  const QuantizeCommandOptions options = {
      .model = kTiny, .output = output, .quantization = "int8", .num_threads = 1};
  ASSERT_EQ(RunQuantizeCommand(options, out).message(), "");
  EXPECT_THAT(out.str(), HasSubstr(" weights quantized, "));
  EXPECT_THAT(out.str(), HasSubstr("runahead serve --model " + output));
  EXPECT_TRUE(std::filesystem::exists(output + "/tokenizer.json"));
  EXPECT_THAT(RunQuantizeCommand(options, out).message(), HasSubstr("small exists"));
}

}  // namespace
}  // namespace runahead
