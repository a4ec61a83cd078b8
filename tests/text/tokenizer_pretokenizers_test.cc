// Pieces of texts are golden (tokenizer_json_stages_test); here, which piece counts as the first.
#include "text/tokenizer_pretokenizers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Pieces(const PreTokenizerPtr& stage, NormalizedText text) {
  PieceList list(std::move(text));
  stage->Apply(&list);
  std::vector<std::string> pieces;
  for (const auto& piece : list.pieces) pieces.emplace_back(list.View(piece));
  return pieces;
}

TEST(PreTokenizersTest, MetaspacePrependsByScheme) {
  const auto first = MakeMetaspacePreTokenizer("_", PrependScheme::kFirst, true);
  EXPECT_THAT(Pieces(first, {"a b", 1}), ElementsAre("_a", "_b"));
  EXPECT_THAT(Pieces(first, {"a b", 0}), ElementsAre("a", "_b"));
  EXPECT_THAT(Pieces(first, {" a", 1}), ElementsAre("_a"));
  const auto always = MakeMetaspacePreTokenizer("_", PrependScheme::kAlways, false);
  EXPECT_THAT(Pieces(always, {"a b", 0}), ElementsAre("_a_b"));
  EXPECT_THAT(Pieces(always, {"_a", 0}), ElementsAre("_a"));
  const auto never = MakeMetaspacePreTokenizer("_", PrependScheme::kNever, false);
  EXPECT_THAT(Pieces(never, {"a b", 1}), ElementsAre("a_b"));
}

TEST(PreTokenizersTest, ByteLevelPrefixesEachText) {
  const auto stage = MakeByteLevelPreTokenizer(/*add_prefix_space=*/true, /*use_regex=*/true);
  ASSERT_TRUE(stage.ok());
  EXPECT_THAT(Pieces(*stage, {"it's 5", 0}), ElementsAre("\xC4\xA0it", "'s",
                                                         "\xC4\xA0"
                                                         "5"));
  EXPECT_THAT(Pieces(*stage, {" x", 0}), ElementsAre("\xC4\xA0x"));
}

TEST(PreTokenizersTest, WordsAndPunctuation) {
  EXPECT_THAT(Pieces(MakeWhitespace(), {"ab,, c_1!", 1}), ElementsAre("ab", ",,", "c_1", "!"));
  EXPECT_THAT(Pieces(MakeBertPreTokenizer(), {"ab,, c!", 1}),
              ElementsAre("ab", ",", ",", "c", "!"));
  EXPECT_THAT(Pieces(MakeDigits(true), {"a12", 1}), ElementsAre("a", "1", "2"));
  EXPECT_THAT(Pieces(MakeDigits(false), {"a12", 1}), ElementsAre("a", "12"));
}

}  // namespace
}  // namespace runahead
