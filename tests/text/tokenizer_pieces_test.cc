#include "text/tokenizer_pieces.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Views(const PieceList& list) {
  std::vector<std::string> views;
  for (const auto& piece : list.pieces) views.emplace_back(list.View(piece));
  return views;
}

// "a--b-" cut at '-', a stretch a character.
std::vector<std::string> Split(SplitBehavior behavior, bool invert = false) {
  PieceList list(NormalizedText{"a--b-"});
  const auto find = [](std::string_view view, std::vector<Stretch>* stretches) {
    FindLiteral(view, "-", stretches);
  };
  SplitPieces(find, invert, behavior, &list);
  return Views(list);
}

TEST(PieceListTest, BehavioursOfMatches) {
  EXPECT_THAT(Split(SplitBehavior::kRemoved), ElementsAre("a", "b"));
  EXPECT_THAT(Split(SplitBehavior::kIsolated), ElementsAre("a", "-", "-", "b", "-"));
  EXPECT_THAT(Split(SplitBehavior::kMergedWithPrevious), ElementsAre("a-", "-", "b-"));
  EXPECT_THAT(Split(SplitBehavior::kMergedWithNext), ElementsAre("a", "-", "-b", "-"));
  EXPECT_THAT(Split(SplitBehavior::kContiguous), ElementsAre("a", "--", "b", "-"));
  EXPECT_THAT(Split(SplitBehavior::kRemoved, /*invert=*/true), ElementsAre("-", "-", "-"));
}

TEST(PieceListTest, OnlyPiecesOfTheFirstCharacterAreAtTheOrigin) {
  PieceList list(NormalizedText{"ab c", 2});  // "ab" stems from one character
  SplitPieces(
      [](std::string_view view, std::vector<Stretch>* stretches) {
        FindCharacters(
            view, [](uint32_t) { return true; }, stretches);
      },
      false, SplitBehavior::kIsolated, &list);
  std::vector<bool> origins;
  const auto rewrite = [&](bool at_origin, std::string_view view, std::string* out) {
    origins.push_back(at_origin);
    out->append(view).append(view);
  };
  RewritePieces(rewrite, &list);
  EXPECT_THAT(Views(list), ElementsAre("aa", "bb", "  ", "cc"));
  EXPECT_THAT(origins, ElementsAre(true, true, false, false));
}

TEST(PieceListTest, EmptyTextHasNoPieces) {
  EXPECT_TRUE(PieceList(NormalizedText{""}).pieces.empty());
}

TEST(PatternTest, LiteralsAreNotExpressions) {
  std::vector<Stretch> stretches;
  Pattern(std::string(".")).FindAll("a.b", &stretches);
  ASSERT_EQ(stretches.size(), 3u);
  EXPECT_TRUE(stretches[1].is_match);
  stretches.clear();
  Pattern(std::string()).FindAll("ab", &stretches);
  ASSERT_EQ(stretches.size(), 1u);
  EXPECT_FALSE(stretches[0].is_match);
}

}  // namespace
}  // namespace runahead
