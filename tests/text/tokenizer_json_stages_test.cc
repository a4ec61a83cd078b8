// Single stages as a tokenizer.json describes them, against Hugging Face's own results.
#include "text/tokenizer_json_stages.h"

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/text/token_golden.h"

namespace runahead {
namespace {

using Json = nlohmann::json;

std::vector<std::string> Pieces(const std::vector<PreTokenizerPtr>& stages,
                                const std::string& text) {
  PieceList list(NormalizedText{text, DecodeUtf8(text, 0).num_bytes});
  for (const PreTokenizerPtr& stage : stages) stage->Apply(&list);
  std::vector<std::string> pieces;
  for (const PieceList::Piece& piece : list.pieces) pieces.emplace_back(list.View(piece));
  return pieces;
}

TEST(TokenizerJsonStagesTest, PreTokenizersEqualHuggingFace) {
  const Json golden = ReadGolden("stages.golden.json");
  ASSERT_GT(golden["pre_tokenizers"].size(), 25u);
  for (const Json& one : golden["pre_tokenizers"]) {
    const auto stages = ReadPreTokenizers(&one["config"]);
    ASSERT_TRUE(stages.ok()) << stages.status().message();
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      const std::vector<std::string> expected = one["pieces"][i];
      EXPECT_EQ(Pieces(*stages, golden["texts"][i]), expected)
          << one["config"] << " on " << golden["texts"][i];
    }
  }
}

TEST(TokenizerJsonStagesTest, NormalizersEqualHuggingFace) {
  const Json golden = ReadGolden("stages.golden.json");
  ASSERT_GT(golden["normalizers"].size(), 10u);
  for (const Json& one : golden["normalizers"]) {
    const auto stages = ReadNormalizers(&one["config"]);
    ASSERT_TRUE(stages.ok()) << stages.status().message();
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      NormalizedText text{golden["texts"][i]};
      for (const NormalizerPtr& stage : *stages) stage->Apply(&text);
      EXPECT_EQ(text.text, one["results"][i].get<std::string>())
          << one["config"] << " on " << golden["texts"][i];
    }
  }
}

TEST(TokenizerJsonStagesTest, DecodersEqualHuggingFace) {
  const Json golden = ReadGolden("stages.golden.json");
  ASSERT_GT(golden["decoders"].size(), 5u);
  for (const Json& one : golden["decoders"]) {
    auto stages = ReadDecoders(&one["config"]);
    ASSERT_TRUE(stages.ok()) << stages.status().message();
    const DecoderChain chain(std::move(stages).value());
    for (size_t i = 0; i < golden["lists"].size(); ++i) {
      EXPECT_EQ(chain.Decode(golden["lists"][i]), one["results"][i].get<std::string>())
          << one["config"] << " on " << golden["lists"][i];
    }
  }
}

TEST(TokenizerJsonStagesTest, AbsentStagesAreNone) {
  EXPECT_TRUE(ReadNormalizers(nullptr)->empty());
  EXPECT_TRUE(ReadPreTokenizers(nullptr)->empty());
  EXPECT_TRUE(ReadDecoders(nullptr)->empty());
  EXPECT_TRUE(ReadPostProcessor(nullptr)->prefix.empty());
}

TEST(TokenizerJsonStagesTest, PostProcessorsNestOutwards) {
  const Json json = Json::parse(R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel"},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "b"}}],
       "special_tokens": {"a": {"ids": [1, 2]}, "b": {"ids": [3]}}},
      {"type": "RobertaProcessing", "cls": ["c", 4], "sep": ["s", 5]}]})");
  const auto frame = ReadPostProcessor(&json);
  ASSERT_TRUE(frame.ok()) << frame.status().message();
  EXPECT_EQ(frame->prefix, (std::vector<int32_t>{4, 1, 2}));
  EXPECT_EQ(frame->suffix, (std::vector<int32_t>{3, 5}));
}

}  // namespace
}  // namespace runahead
