#include "server/model_host.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::HasSubstr;

const fs::path kPair = SourceDir() + "/models/demo";

Json ReadJson(const fs::path& path) {
  std::ifstream file(path);
  return Json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

// A checkpoint without weights, for load_format dummy: the demo draft's configuration and
// tokenizer, to be changed.
class Checkpoint {
 public:
  explicit Checkpoint(const std::string& name)
      : path_(fs::temp_directory_path() /
              ("runahead_model_host_" + std::to_string(getpid()) + "_" + name)),
        config(ReadJson(kPair / "draft/config.json")),
        tokenizer(ReadJson(kPair / "draft/tokenizer.json")) {}
  ~Checkpoint() { fs::remove_all(path_); }

  std::string Write() const {
    fs::create_directories(path_);
    std::ofstream(path_ / "config.json") << config;
    std::ofstream(path_ / "tokenizer.json") << tokenizer;
    return path_.string();
  }

 private:
  fs::path path_;

 public:
  Json config;
  Json tokenizer;
};

class ModelHostTest : public testing::Test {
 protected:
  ModelHostTest() {
    settings_.directory = (kPair / "target").string();
    settings_.speculation.draft_directory = (kPair / "draft").string();
    settings_.backend = "cpu";
    settings_.backend_options.num_threads = 1;
    settings_.kv_cache_bytes = 64 << 20;
    settings_.max_num_seqs = 8;
    settings_.max_num_batched_tokens = 64;
    settings_.max_logit_rows = 64;
  }

  Result<std::unique_ptr<ModelHost>> Load() {
    return ModelHost::Load(settings_, clock_, logger_, nullptr);
  }

  std::string Speculation() {
    const auto host = Load();
    EXPECT_TRUE(host.ok()) << host.status().message();
    return host.ok() ? (*host)->Describe().back() : "";
  }

  // Every token of a request that wants `num_tokens`.
  static std::vector<int32_t> Generate(ModelHost& host, int num_tokens, SpeculationParams params) {
    auto request = std::make_unique<Request>();
    request->prompt = {7, 8, 9, 10};
    request->seed = 3;
    request->sampling.temperature = 2;
    request->sampling.repetition_penalty = 1.1f;
    request->max_tokens = num_tokens;
    request->ignore_eos = true;
    request->speculation = params;
    auto stream = host.engine().Submit(std::move(request));
    EXPECT_TRUE(stream.ok()) << stream.status().message();
    std::vector<int32_t> tokens;
    while (!(*stream)->finished()) {
      for (const TokenEvent& event : (*stream)->Wait()) {
        if (event.token >= 0) tokens.push_back(event.token);
      }
    }
    return tokens;
  }

  ModelSettings settings_;
  SteadyClock clock_;
  NullLogger logger_;
};

TEST_F(ModelHostTest, ThePairIsServedAndDescribed) {
  auto host = Load();
  ASSERT_TRUE(host.ok()) << host.status().message();
  EXPECT_EQ((*host)->engine().config().speculation.drafters.size(), 3u);
  EXPECT_EQ((*host)->engine().config().speculation.max_drafts, kMaxDrafts);
  EXPECT_EQ((*host)->served().speculation.mode, SpeculationMode::kAuto);
  const std::string line = (*host)->Describe().back();
  EXPECT_THAT(line, HasSubstr("speculation: auto, up to 16 drafts of "));
  EXPECT_THAT(line, HasSubstr("coupled; draft model " + (kPair / "draft").string()));
  EXPECT_THAT(line, HasSubstr("of the model's"));
}

TEST_F(ModelHostTest, WhatIsOffSaysSo) {
  settings_.speculation.drafters = {DrafterKind::kNgram};
  settings_.speculation.mode = SpeculationMode::kOff;
  EXPECT_EQ(Speculation(), "speculation: off, up to 16 drafts of ngram; coupled");
  settings_.speculation.drafters.emplace();
  EXPECT_EQ(Speculation(), "speculation: none");
}

TEST_F(ModelHostTest, BothVerificationsServeThePair) {
  const SpeculationParams fixed = {.mode = SpeculationMode::kFixed, .max_tokens = 3};
  for (const VerifyMode mode : {VerifyMode::kCoupled, VerifyMode::kRejection}) {
    settings_.speculation.verification = mode;
    auto host = Load();
    ASSERT_TRUE(host.ok()) << host.status().message();
    EXPECT_EQ(Generate(**host, 24, fixed).size(), 24u);
    const auto& counts = (*host)->metrics().Snapshot().drafters;
    EXPECT_GT(counts[static_cast<size_t>(DrafterKind::kModel)].drafted_tokens, 0u);
  }
}

TEST_F(ModelHostTest, AnotherVocabularyIsRefusedByItsFirstDifference) {
  Checkpoint draft("vocab");
  Json& vocab = draft.tokenizer["model"]["vocab"];
  const auto spelling = [&](int id) {
    for (const auto& [word, value] : vocab.items()) {
      if (value == id) return word;
    }
    return std::string();
  };
  const std::string a = spelling(300);
  const std::string b = spelling(400);
  vocab[a] = 400;
  vocab[b] = 300;
  settings_.speculation.draft_directory = draft.Write();
  const auto host = Load();
  ASSERT_FALSE(host.ok());
  EXPECT_EQ(host.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(host.status().message(),
              HasSubstr("id 300 is " + Json(b).dump() + " to the draft and " + Json(a).dump() +
                        " to the model"));
}

TEST_F(ModelHostTest, ADraftThatIsNotThereIsNamed) {
  settings_.speculation.draft_directory = "/nowhere";
  const auto host = Load();
  ASSERT_FALSE(host.ok());
  EXPECT_THAT(host.status().message(), HasSubstr("draft model: "));
  EXPECT_THAT(host.status().message(), HasSubstr("/nowhere"));
}

// Tables of the same tokens may be padded differently. Random weights at temperature 2 draw padding
// ids of the wider table too, which the narrower draft has no row for.
TEST_F(ModelHostTest, PaddedTablesAreNoDifference) {
  settings_.load_format = LoadFormat::kDummy;
  const SpeculationParams fixed = {.mode = SpeculationMode::kFixed, .max_tokens = 3};
  for (const auto& [target_rows, draft_rows] : {std::pair(4096, 2048), std::pair(2048, 4096)}) {
    Checkpoint target("target");
    Checkpoint draft("draft");
    target.config["vocab_size"] = target_rows;
    draft.config["vocab_size"] = draft_rows;
    draft.config["num_hidden_layers"] = 1;
    settings_.directory = target.Write();
    settings_.speculation.draft_directory = draft.Write();
    auto host = Load();
    ASSERT_TRUE(host.ok()) << host.status().message();
    EXPECT_EQ((*host)->engine().config().vocab_size, target_rows);
    const auto with = Generate(**host, 64, fixed);
    EXPECT_EQ(with, Generate(**host, 64, {.mode = SpeculationMode::kOff}));
  }
}

TEST_F(ModelHostTest, AShorterContextOfTheDraftIsSaid) {
  settings_.load_format = LoadFormat::kDummy;
  Checkpoint draft("short");
  draft.config["max_position_embeddings"] = 32;
  settings_.speculation.draft_directory = draft.Write();
  auto host = Load();
  ASSERT_TRUE(host.ok()) << host.status().message();
  EXPECT_THAT((*host)->Describe().back(), HasSubstr("does not draft beyond its context of 32"));
  const SpeculationParams fixed = {.mode = SpeculationMode::kFixed, .max_tokens = 5};
  EXPECT_EQ(Generate(**host, 80, fixed), Generate(**host, 80, {.mode = SpeculationMode::kOff}));
}

}  // namespace
}  // namespace runahead
