// The order of the stages and the frame; equality on texts is golden (tokenizer_json_test).
#include "text/tokenizer_pipeline.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokenizerParts Parts() {
  Vocabulary vocabulary = Vocabulary::Build({{"a", 0}, {"b", 1}, {"_", 2}}).value();
  return {.added_tokens = {},
          .normalizers = {},
          .pre_tokenizers = {},
          .model = Bpe(std::move(vocabulary), {}, {}),
          .frame = {},
          .decoder = DecoderChain({})};
}

AddedToken Added(std::string content, int32_t id) {
  AddedToken token;
  token.content = std::move(content);
  token.id = id;
  return token;
}

TEST(PipelineTokenizerTest, FrameGoesAroundOnlyWhenAsked) {
  TokenizerParts parts = Parts();
  parts.frame = {.prefix = {7, 8}, .suffix = {9}};
  const auto tokenizer = MakePipelineTokenizer(std::move(parts));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_THAT((*tokenizer)->Encode("ab", {}), ElementsAre(7, 8, 0, 1, 9));
  EXPECT_THAT((*tokenizer)->Encode("ab", {.add_special_tokens = false}), ElementsAre(0, 1));
  EXPECT_THAT((*tokenizer)->Encode("", {}), ElementsAre(7, 8, 9));
}

TEST(PipelineTokenizerTest, EachTextBetweenTokensIsNormalizedByItself) {
  TokenizerParts parts = Parts();
  parts.added_tokens = {Added("<x>", 5)};
  parts.normalizers.push_back(MakePrepend("_"));
  const auto tokenizer = MakePipelineTokenizer(std::move(parts));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_THAT((*tokenizer)->Encode("a<x>b<x>", {}), ElementsAre(2, 0, 5, 2, 1, 5));
}

TEST(PipelineTokenizerTest, NormalizedTokensAreFoundAndDecodedAsNormalized) {
  TokenizerParts parts = Parts();
  AddedToken token = Added("DAY", 5);
  token.normalized = true;
  parts.added_tokens = {token};
  parts.normalizers.push_back(MakeLowercase());
  const auto tokenizer = MakePipelineTokenizer(std::move(parts));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_THAT((*tokenizer)->Encode("aDayb", {}), ElementsAre(0, 5, 1));
  EXPECT_EQ((*tokenizer)->IdToToken(5), "DAY");
  EXPECT_EQ((*tokenizer)->Decode(std::vector<int32_t>{5}, false), "day");
}

TEST(PipelineTokenizerTest, AddedIdsAreSettledWithTheVocabulary) {
  TokenizerParts parts = Parts();
  parts.added_tokens = {Added("b", 77), Added("", 3), Added("<x>", 9), Added("<x>", 9)};
  const auto tokenizer = MakePipelineTokenizer(std::move(parts));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->TokenToId("b"), 1);
  EXPECT_EQ((*tokenizer)->vocab_size(), 10);
  for (const auto& [content, id] : {std::pair("<y>", 1), {"<y>", -1}, {"<y>", INT32_MAX}}) {
    TokenizerParts bad = Parts();
    bad.added_tokens = {Added(content, id)};
    EXPECT_THAT(MakePipelineTokenizer(std::move(bad)).status().message(), HasSubstr("'<y>'"));
  }
}

TEST(PipelineTokenizerTest, InvalidUtf8BecomesTheReplacementCharacter) {
  TokenizerParts parts = Parts();
  parts.added_tokens = {Added("\xEF\xBF\xBD", 6)};
  const auto tokenizer = MakePipelineTokenizer(std::move(parts));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_THAT((*tokenizer)
                  ->Encode("a\xFF\xC3"
                           "b",
                           {}),
              ElementsAre(0, 6, 6, 1));
}

}  // namespace
}  // namespace runahead
