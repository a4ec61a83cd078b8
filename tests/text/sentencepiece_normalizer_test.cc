#include "text/sentencepiece_normalizer.h"

#include <cstring>

#include "gtest/gtest.h"

#include "tests/text/token_golden.h"
#include "text/sentencepiece_proto.h"

namespace runahead {
namespace {

std::string Apply(SentencePieceRules rules, std::string text) {
  NormalizedText normalized{std::move(text)};
  MakeSentencePieceNormalizer(std::move(rules))->Apply(&normalized);
  return normalized.text;
}

TEST(SentencePieceNormalizerTest, WhiteSpaceRules) {
  EXPECT_EQ(Apply({}, "  a   b  "), "▁a▁b");
  EXPECT_EQ(Apply({}, "   "), "");
  EXPECT_EQ(Apply({}, ""), "");
  EXPECT_EQ(Apply({.remove_extra_whitespaces = false}, " a  b "), "▁▁a▁▁b▁");
  EXPECT_EQ(Apply({.remove_extra_whitespaces = false}, " "), "▁▁");
  EXPECT_EQ(Apply({.add_dummy_prefix = false}, " a b"), "a▁b");
  EXPECT_EQ(Apply({.escape_whitespaces = false}, "a b"), " a b");
}

TEST(SentencePieceNormalizerTest, UserDefinedPiecesStayAsTheyAre) {
  SentencePieceRules rules;
  rules.user_defined.Add("  ", 1);
  rules.remove_extra_whitespaces = false;
  rules.escape_whitespaces = false;
  EXPECT_EQ(Apply(std::move(rules), "a  b"), " a  b");
}

CharacterMap RealMap() {
  const auto model = ReadSentencePieceProto(ReadGoldenFile("rules.model"));
  return CharacterMap::Parse(model->precompiled_charsmap).value();
}

TEST(CharacterMapTest, LongestRuleWins) {
  const CharacterMap map = RealMap();
  const auto rule = map.Find("xA\xCC\x81y", 1);
  EXPECT_EQ(rule.num_bytes, 3u);
  EXPECT_EQ(rule.replacement, "a");
  EXPECT_EQ(map.Find("xAy", 1).num_bytes, 0u);
  EXPECT_EQ(map.Find("\xEF\xAC\x81", 0).replacement, "fi");
  EXPECT_EQ(map.Find("\xC2\xAD", 0).replacement, "");  // deleted
}

TEST(CharacterMapTest, MalformedMapsAreRefusedOrRewriteNothing) {
  EXPECT_FALSE(CharacterMap::Parse("\x01").ok());
  EXPECT_FALSE(CharacterMap::Parse(std::string("\xFF\xFF\xFF\xFF", 4)).ok());
  EXPECT_FALSE(CharacterMap::Parse(std::string("\x03\0\0\0abc", 7)).ok());
  EXPECT_EQ(CharacterMap::Parse("")->Find("a", 0).num_bytes, 0u);
  EXPECT_EQ(CharacterMap::Parse(std::string(4, '\0'))->Find("a", 0).num_bytes, 0u);
}

// Any bits in the trie: found rules lie inside the text and are UTF-8.
TEST(CharacterMapTest, FlippedBitsNeverReadOutOfBounds) {
  const auto model = ReadSentencePieceProto(ReadGoldenFile("rules.model"));
  const std::string& blob = model->precompiled_charsmap;
  const std::string text = "A\xCC\x81\xEF\xAC\x81 \xEF\xBC\xA1";
  for (size_t bit = 0; bit < blob.size() * 8; bit += 3) {
    std::string flipped = blob;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const auto map = CharacterMap::Parse(flipped);
    if (!map.ok()) continue;
    for (const size_t at : {0, 1, 3, 6, 7}) {
      const auto rule = map->Find(text, at);
      ASSERT_LE(at + rule.num_bytes, text.size());
      ASSERT_TRUE(IsValidUtf8(rule.replacement));
    }
  }
}

}  // namespace
}  // namespace runahead
