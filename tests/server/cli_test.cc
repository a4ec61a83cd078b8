#include "server/cli.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <CLI/CLI.hpp>
#include <unistd.h>

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<ServeConfig> Load(const std::string& line,
                         const std::map<std::string, std::string>& environment = {}) {
  CLI::App app;
  GivenFlags given;
  AddSettingFlags(app, given);
  try {
    app.parse(line);
  } catch (const CLI::ParseError& error) {
    return InvalidArgument(std::string("parse: ") + error.what());
  }
  return LoadServeConfig(given, [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(Cli, FlagsReachTheirSettings) {
  const auto config = Load(
      "--model m --port 0 --max-num-seqs 3 --api-key a --api-key b --pin-threads "
      "--enable-prefix-caching false --cors-origin=https://x.example");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->model, "m");
  EXPECT_EQ(config->http_port, 0);
  EXPECT_EQ(config->max_num_seqs, 3);
  EXPECT_THAT(config->api_keys, ElementsAre("a", "b"));
  EXPECT_TRUE(config->pin_threads);
  EXPECT_FALSE(config->enable_prefix_caching);
  EXPECT_THAT(config->cors_origins, ElementsAre("https://x.example"));
}

TEST(Cli, FileThenEnvironmentThenFlags) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("runahead_cli_test_" + std::to_string(getpid()) + ".json"))
                               .string();
  std::ofstream(path) << R"({"model": "file", "max_queue": 1, "max_num_seqs": 1, "threads": 1})";
  const std::map<std::string, std::string> environment = {{"RUNAHEAD_MAX_NUM_SEQS", "2"},
                                                          {"RUNAHEAD_THREADS", "2"}};
  const auto config = Load("--config " + path + " --threads 3", environment);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->model, "file");
  EXPECT_EQ(config->max_queue, 1);
  EXPECT_EQ(config->max_num_seqs, 2);
  EXPECT_EQ(config->threads, 3);
  const auto named = Load("", {{"RUNAHEAD_CONFIG", path}});
  ASSERT_TRUE(named.ok()) << named.status().message();
  EXPECT_EQ(named->max_num_seqs, 1);
  std::filesystem::remove(path);
}

// `scripts/serve --model DIR` reads configs/demo.json, whose draft model belongs to the demo model.
TEST(Cli, AnotherModelDoesNotInheritTheDraft) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("runahead_cli_draft_" + std::to_string(getpid()) + ".json"))
                               .string();
  std::ofstream(path) << R"({"model": "file", "speculative": {"draft_model": "small"}})";
  const auto draft = [&](const std::string& flags,
                         const std::map<std::string, std::string>& environment = {}) {
    const auto config = Load("--config " + path + " " + flags, environment);
    EXPECT_TRUE(config.ok()) << config.status().message();
    return config->draft_model;
  };
  EXPECT_EQ(draft(""), "small");
  EXPECT_EQ(draft("--model file --threads 2"), "small");
  EXPECT_EQ(draft("--model other"), "");
  EXPECT_EQ(draft("--model other --draft-model small"), "small");
  EXPECT_EQ(draft("--draft-model tiny"), "tiny");
  EXPECT_EQ(draft("", {{"RUNAHEAD_MODEL", "other"}}), "");
  EXPECT_EQ(draft("", {{"RUNAHEAD_MODEL", "other"}, {"RUNAHEAD_SPECULATIVE_DRAFT_MODEL", "small"}}),
            "small");
  std::filesystem::remove(path);
}

TEST(Cli, ErrorsNameTheFlag) {
  EXPECT_THAT(Load("--model m --http-port x").status().message(), HasSubstr("--http-port"));
  EXPECT_THAT(Load("--model m --frobnicate 1").status().message(), HasSubstr("frobnicate"));
  EXPECT_THAT(Load("").status().message(), HasSubstr("--model"));
  EXPECT_THAT(Load("--config /nonexistent.json").status().message(),
              HasSubstr("/nonexistent.json"));
}

TEST(Cli, AFlagThatIsNoneGetsTheNearestOne) {
  CLI::App app;
  CLI::App* serve = app.add_subcommand("serve");
  GivenFlags given;
  AddSettingFlags(*serve, given);
  std::ostringstream out;
  std::ostringstream err;
  try {
    app.parse("serve --max-num-seq 3");
    FAIL() << "parsed";
  } catch (const CLI::ParseError& error) {
    EXPECT_NE(app.exit(error, out, err), 0);
  }
  EXPECT_THAT(err.str(), HasSubstr("Did you mean --max-num-seqs?"));
}

TEST(Cli, OtherCommandsTakeSomeSections) {
  CLI::App app;
  GivenFlags given;
  AddSettingFlags(app, given, {"Model", "Compute"});
  EXPECT_NO_THROW(app.parse("--model m --threads 2"));
  EXPECT_EQ(given.settings.size(), 2u);
  EXPECT_THROW(app.parse("--http-port 1"), CLI::ParseError);
  EXPECT_THAT(app.help(), HasSubstr("CPU kernel threads"));
}

}  // namespace
}  // namespace runahead
