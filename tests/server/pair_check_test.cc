#include "server/pair_check.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

using testing::HasSubstr;

// The byte tokenizer's 257 ids, then `extra` words.
std::unique_ptr<Tokenizer> With(const std::vector<std::string>& extra) {
  std::string vocab;
  for (int b = 0; b < 256; ++b) vocab += "\"" + SpellByte(b) + "\":" + std::to_string(b) + ",";
  int id = 256;
  for (const std::string& word : extra) vocab += "\"" + word + "\":" + std::to_string(id++) + ",";
  vocab.pop_back();
  const std::string json =
      R"({"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel",)"
      R"("add_prefix_space":false,"trim_offsets":true,"use_regex":true},"post_processor":null,)"
      R"("decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,)"
      R"("use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,)"
      R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)"
      R"("byte_fallback":false,"ignore_merges":false,"vocab":{)" +
      vocab + R"(},"merges":[]}})";
  auto tokenizer = ParseTokenizerJson(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

TEST(CheckSameTokens, EqualOnesPass) {
  EXPECT_TRUE(CheckSameTokens(*With({"the", "aa"}), *With({"the", "aa"})).ok());
}

TEST(CheckSameTokens, TheFirstDifferenceIsNamedWithBothTokens) {
  const Status status = CheckSameTokens(*With({"the", "aa", "xx"}), *With({"the", "bb", "yy"}));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("id 257 is \"bb\" to the draft and \"aa\" to the model"));
}

TEST(CheckSameTokens, AShorterVocabularyDiffersWhereItEnds) {
  EXPECT_THAT(CheckSameTokens(*With({"the", "aa"}), *With({"the"})).message(),
              HasSubstr("id 257 is no token to the draft and \"aa\""));
  EXPECT_THAT(CheckSameTokens(*With({}), *With({"the"})).message(),
              HasSubstr("id 256 is \"the\" to the draft and no token"));
}

}  // namespace
}  // namespace runahead
