// The table itself: its rows, its names, and the page that documents it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/config.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

constexpr std::string_view kBegin = "<!-- settings: made from server/config_table.cc -->\n";
constexpr std::string_view kEnd = "<!-- end of settings -->\n";

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(ConfigTable, EveryFieldHasExactlyOneRow) {
  std::set<std::string> keys;
  std::set<std::string> flags = {"--config"};
  ServeConfig changed;
  for (const Setting& setting : ServeSettings()) {
    EXPECT_TRUE(keys.insert(std::string(setting.key)).second) << setting.key;
    EXPECT_TRUE(flags.insert(FlagName(setting)).second) << setting.key;
    if (!setting.alias.empty()) {
      EXPECT_TRUE(flags.insert("--" + std::string(setting.alias)).second) << setting.alias;
    }
    EXPECT_FALSE(setting.help.empty()) << setting.key;
    // Two rows for one field would undo each other's change here.
    const std::string before = DefaultText(setting);
    const ServeConfig untouched = changed;
    std::visit(
        [&](auto field) {
          using Type = std::decay_t<decltype(changed.*field)>;
          EXPECT_EQ(changed.*field, ServeConfig().*field) << setting.key;
          if constexpr (std::is_same_v<Type, bool>) {
            changed.*field = !(changed.*field);
          } else if constexpr (std::is_integral_v<Type>) {
            changed.*field += 1;
          } else if constexpr (std::is_same_v<Type, std::string>) {
            changed.*field += "x";
          } else {
            changed.*field = {"x"};
          }
        },
        setting.field);
    EXPECT_NE(changed, untouched) << setting.key;
  }
}

TEST(ConfigTable, DefaultsAreInTheirOwnRange) {
  for (const Setting& setting : ServeSettings()) {
    ServeConfig config;
    const std::string json = "{\"" + std::string(setting.key) + "\": " + DefaultText(setting) + "}";
    EXPECT_TRUE(ApplyJson(json, "default", config).ok()) << json;
    EXPECT_EQ(config, ServeConfig()) << setting.key;
  }
}

TEST(ConfigTable, NamesFollowTheKey) {
  const Setting* setting = FindSetting("max_num_seqs");
  ASSERT_NE(setting, nullptr);
  EXPECT_EQ(FlagName(*setting), "--max-num-seqs");
  EXPECT_EQ(EnvironmentName(*setting), "RUNAHEAD_MAX_NUM_SEQS");
  EXPECT_EQ(FindSetting("nonsense"), nullptr);
  const Setting* nested = FindSetting("speculative.draft_model");
  ASSERT_NE(nested, nullptr);
  EXPECT_EQ(FlagName(*nested), "--speculative-draft-model");
  EXPECT_EQ(EnvironmentName(*nested), "RUNAHEAD_SPECULATIVE_DRAFT_MODEL");
}

TEST(ConfigTable, NearestKeyNeedsAResemblance) {
  EXPECT_EQ(NearestKey("max_num_seq"), "max_num_seqs");
  EXPECT_EQ(NearestKey("max-num-seqs"), "max_num_seqs");
  EXPECT_EQ(NearestKey("HttpPort"), "http_port");
  EXPECT_EQ(NearestKey("blocksize"), "block_size");
  EXPECT_EQ(NearestKey("draft-modle"), "speculative.draft_model");
  EXPECT_EQ(NearestKey("frobnication_level"), std::nullopt);
  EXPECT_EQ(NearestKey(std::string(1 << 20, 'x')), std::nullopt);
}

// RUNAHEAD_UPDATE_DOCS=1 rewrites the page's tables.
TEST(ConfigTable, ThePageHoldsEverySetting) {
  const std::filesystem::path path = SourceDir() + "/docs/configuration.md";
  const std::string page = ReadFile(path);
  const size_t begin = page.find(kBegin);
  const size_t end = page.find(kEnd);
  ASSERT_TRUE(begin != std::string::npos && end != std::string::npos);
  const std::string head = page.substr(0, begin + kBegin.size());
  if (std::getenv("RUNAHEAD_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << head << SettingsMarkdown() << "\n" << page.substr(end);
    return;
  }
  EXPECT_EQ(page.substr(head.size(), end - head.size()), SettingsMarkdown() + "\n")
      << "run this test with RUNAHEAD_UPDATE_DOCS=1 and commit docs/configuration.md";
}

}  // namespace
}  // namespace runahead
