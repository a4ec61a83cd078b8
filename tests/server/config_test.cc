#include "server/config.h"

#include <filesystem>
#include <map>
#include <sstream>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/source_dir.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOf(std::string_view json) {
  ServeConfig config;
  const Status status = ApplyJson(json, "c.json", config);
  EXPECT_TRUE(status.ok() || config == ServeConfig()) << "a refused file changes nothing";
  return status.ok() ? "" : status.message();
}

TEST(Config, JsonSetsWhatItNames) {
  ServeConfig config;
  const Status status = ApplyJson(R"({
    // comments are welcome
    "model": "m", "max_num_seqs": 7, "kv_cache_bytes": 8589934592, "enable_prefix_caching": false,
    "api_keys": ["a", "b"], "dtype": "f32"})",
                                  "c.json", config);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(config.model, "m");
  EXPECT_EQ(config.max_num_seqs, 7);
  EXPECT_EQ(config.kv_cache_bytes, int64_t{8} << 30);
  EXPECT_FALSE(config.enable_prefix_caching);
  EXPECT_THAT(config.api_keys, ElementsAre("a", "b"));
  EXPECT_EQ(config.dtype, "f32");
  EXPECT_EQ(config.max_queue, ServeConfig().max_queue);
}

TEST(Config, ASectionMayBeNested) {
  ServeConfig nested;
  ASSERT_TRUE(ApplyJson(R"({"model": "m", "speculative": {"draft_model": "d", "max_tokens": 3}})",
                        "c.json", nested)
                  .ok());
  ServeConfig flat;
  ASSERT_TRUE(ApplyJson(R"({"model": "m", "speculative.draft_model": "d",
                            "speculative.max_tokens": 3})",
                        "c.json", flat)
                  .ok());
  EXPECT_EQ(nested.draft_model, "d");
  EXPECT_EQ(nested, flat);
  EXPECT_EQ(ErrorOf(R"({"speculative": {"draft_modle": "d"}})"),
            "c.json: unknown key 'speculative.draft_modle'; did you mean "
            "'speculative.draft_model'?");
  EXPECT_EQ(ErrorOf(R"({"speculative": {"max_tokens": 17}})"),
            "c.json: 'speculative.max_tokens' must be from 0 to 16, not 17");
  EXPECT_THAT(ErrorOf(R"({"speculative": 4})"), HasSubstr("unknown key 'speculative'"));
  EXPECT_THAT(ErrorOf(R"({"speculative": {"max_tokens": {"max_tokens": 1}}})"),
              HasSubstr("of type integer, not object"));
}

TEST(Config, AListsWordsAreChecked) {
  EXPECT_EQ(ErrorOf(R"({"speculative.drafters": ["ngram", "oracle"]})"),
            "c.json: 'speculative.drafters' must be a list of \"model\", \"self\", \"ngram\", "
            "\"prediction\" or \"none\", not \"oracle\"");
  ServeConfig config;
  EXPECT_THAT(
      ApplyText(*FindSetting("speculative.drafters"), "ngram,x", "--drafters", config).message(),
      HasSubstr("--drafters must be a list of"));
}

TEST(Config, UnknownKeysAreRefusedWithTheNearestOne) {
  EXPECT_EQ(ErrorOf(R"({"max_num_seq": 7})"),
            "c.json: unknown key 'max_num_seq'; did you mean 'max_num_seqs'?");
  EXPECT_EQ(ErrorOf(R"({"zzzzzzzzzzzz": 7})"), "c.json: unknown key 'zzzzzzzzzzzz'");
}

TEST(Config, WrongTypesAndRangesNameTheKey) {
  EXPECT_EQ(ErrorOf(R"({"max_num_seqs": "7"})"),
            "c.json: 'max_num_seqs' must be of type integer, not string");
  EXPECT_EQ(ErrorOf(R"({"max_num_seqs": 7.5})"),
            "c.json: 'max_num_seqs' must be of type integer, not number");
  EXPECT_EQ(ErrorOf(R"({"max_num_seqs": 0})"),
            "c.json: 'max_num_seqs' must be from 1 to 65536, not 0");
  EXPECT_THAT(ErrorOf(R"({"max_num_seqs": 18446744073709551615})"), HasSubstr("from 1 to 65536"));
  EXPECT_THAT(ErrorOf(R"({"kv_cache_bytes": -1})"), HasSubstr("'kv_cache_bytes' must be from 0"));
  EXPECT_EQ(ErrorOf(R"({"dtype": "fp8"})"),
            "c.json: 'dtype' must be \"auto\", \"f32\", \"bf16\" or \"f16\", not \"fp8\"");
  EXPECT_THAT(ErrorOf(R"({"model": null})"), HasSubstr("of type string, not null"));
  EXPECT_THAT(ErrorOf(R"({"pin_threads": 1})"), HasSubstr("of type boolean, not number"));
  EXPECT_THAT(ErrorOf(R"({"api_keys": "k"})"), HasSubstr("of type list of strings, not string"));
  EXPECT_THAT(ErrorOf(R"({"api_keys": [1]})"), HasSubstr("a list of strings"));
}

TEST(Config, WhatIsNoObjectIsRefused) {
  EXPECT_EQ(ErrorOf(""), "c.json is not valid JSON");
  EXPECT_EQ(ErrorOf("{\"model\": "), "c.json is not valid JSON");
  EXPECT_EQ(ErrorOf("[]"), "c.json must hold one JSON object");
  ServeConfig config;
  EXPECT_EQ(ApplyConfigFile("/nonexistent/c.json", config).code(), StatusCode::kNotFound);
}

TEST(Config, TheEnvironmentSetsEveryType) {
  const std::map<std::string, std::string> variables = {{"RUNAHEAD_MODEL", "m"},
                                                        {"RUNAHEAD_HTTP_PORT", "0"},
                                                        {"RUNAHEAD_PIN_THREADS", "true"},
                                                        {"RUNAHEAD_KV_CACHE_BYTES", "4294967296"},
                                                        {"RUNAHEAD_API_KEYS", "a,b,"}};
  const auto lookup = [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  ServeConfig config;
  const Status status = ApplyEnvironment(lookup, config);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(config.model, "m");
  EXPECT_EQ(config.http_port, 0);
  EXPECT_TRUE(config.pin_threads);
  EXPECT_EQ(config.kv_cache_bytes, int64_t{1} << 32);
  EXPECT_THAT(config.api_keys, ElementsAre("a", "b"));
}

// Some text that sets something else than the default.
std::string OtherThanDefault(const Setting& setting) {
  const std::string default_text = DefaultText(setting);
  if (std::holds_alternative<bool ServeConfig::*>(setting.field)) {
    return default_text == "true" ? "false" : "true";
  }
  if (TypeName(setting) == "integer") {
    const std::string high = std::to_string(setting.high);
    return high == default_text ? std::to_string(setting.low) : high;
  }
  if (setting.choices.empty()) return "other";
  std::istringstream words{std::string(setting.choices)};
  for (std::string word; words >> word;) {
    if (default_text != "\"" + word + "\"") return word;
  }
  return "";
}

TEST(Config, TheEnvironmentReachesEverySetting) {
  for (const Setting& setting : ServeSettings()) {
    const std::string name = EnvironmentName(setting);
    const std::string text = OtherThanDefault(setting);
    const auto lookup = [&](const char* asked) { return asked == name ? text.c_str() : nullptr; };
    ServeConfig config;
    const Status status = ApplyEnvironment(lookup, config);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_NE(config, ServeConfig()) << name << "=" << text << " changed nothing";
    std::visit([&](auto field) { config.*field = ServeConfig().*field; }, setting.field);
    EXPECT_EQ(config, ServeConfig()) << name << " changed something else";
  }
}

TEST(Config, BadTextNamesItsSource) {
  ServeConfig config;
  const auto error = [&](const char* key, const char* text) {
    return ApplyText(*FindSetting(key), text, "--flag", config).message();
  };
  EXPECT_EQ(error("http_port", "80a"), "--flag must be an integer, not \"80a\"");
  EXPECT_EQ(error("http_port", ""), "--flag must be an integer, not \"\"");
  EXPECT_EQ(error("http_port", "99999999999999999999"),
            "--flag must be an integer, not \"99999999999999999999\"");
  EXPECT_EQ(error("http_port", "65536"), "--flag must be from 0 to 65535, not 65536");
  EXPECT_EQ(error("pin_threads", "maybe"), "--flag must be true or false, not \"maybe\"");
  EXPECT_THAT(error("backend", "tpu"), HasSubstr("\"auto\", \"cuda\", \"cpu\" or \"ref\""));
}

TEST(Config, CheckFindsWhatNoSingleSettingCan) {
  ServeConfig config;
  EXPECT_THAT(CheckConfig(config).message(), HasSubstr("--model"));
  config.model = "m";
  EXPECT_TRUE(CheckConfig(config).ok());
  config.tls_cert_file = "c.pem";
  EXPECT_THAT(CheckConfig(config).message(), HasSubstr("both"));
  config.tls_key_file = "k.pem";
  EXPECT_TRUE(CheckConfig(config).ok());
  config.max_num_batched_tokens = config.max_num_seqs - 1;
  EXPECT_THAT(CheckConfig(config).message(), HasSubstr("max_num_batched_tokens"));
  config.max_num_batched_tokens = config.max_num_seqs;
  config.drafters = {"ngram", "model"};
  EXPECT_THAT(CheckConfig(config).message(), HasSubstr("--draft-model"));
  config.draft_model = "d";
  EXPECT_TRUE(CheckConfig(config).ok());
  config.drafters = {"none", "ngram"};
  EXPECT_THAT(CheckConfig(config).message(), HasSubstr("stands alone"));
  config.drafters = {};
  config.num_kv_blocks = 100;
  EXPECT_TRUE(CheckConfig(config).ok());
  config.kv_cache_bytes = 1;
  EXPECT_THAT(CheckConfig(config).message(), HasSubstr("one of them"));
}

TEST(Config, EveryFileInConfigsLoads) {
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SourceDir() + "/configs")) {
    if (entry.path().extension() != ".json") continue;
    ServeConfig config;
    const Status status = ApplyConfigFile(entry.path().string(), config);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(CheckConfig(config).ok()) << entry.path() << CheckConfig(config).message();
    EXPECT_TRUE(std::filesystem::exists(SourceDir() + "/" + config.model)) << entry.path();
    ++num_files;
  }
  EXPECT_GE(num_files, 5);
}

}  // namespace
}  // namespace runahead
