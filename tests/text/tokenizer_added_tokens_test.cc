#include "text/tokenizer_added_tokens.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;

AddedToken Token(int32_t id, const std::string& content) {
  AddedToken token;
  token.content = content;
  token.pattern = content;
  token.id = id;
  return token;
}

// Segments as text, tokens as their id and extent: "a", "7<x>".
std::vector<std::string> Split(const AddedTokens& added, std::string_view text,
                               bool parse_special = true, bool normalized = false) {
  std::vector<TextSegment> segments;
  added.Split(text, normalized, parse_special, &segments);
  std::vector<std::string> parts;
  for (const TextSegment& segment : segments) {
    const std::string part(text.substr(segment.begin, segment.end - segment.begin));
    parts.push_back(segment.id < 0 ? part : std::to_string(segment.id) + part);
  }
  return parts;
}

TEST(StringTrieTest, FindsTheLongest) {
  StringTrie trie;
  EXPECT_TRUE(trie.empty());
  trie.Add("ab", 1);
  trie.Add("abcd", 2);
  trie.Add("abcd", 3);  // the first stays
  trie.Add("", 4);
  EXPECT_EQ(trie.Longest("xabcde", 1).value, 2);
  EXPECT_EQ(trie.Longest("xabcde", 1).num_bytes, 4u);
  EXPECT_EQ(trie.Longest("abc", 0).value, 1);
  EXPECT_EQ(trie.Longest("xab", 0).value, -1);
}

TEST(AddedTokensTest, LeftmostLongest) {
  const AddedTokens added({Token(1, "<a>"), Token(2, "<a><b>"), Token(3, "<b>")});
  EXPECT_THAT(Split(added, "x<a><b>y<b><a>"), ElementsAre("x", "2<a><b>", "y", "3<b>", "1<a>"));
  EXPECT_THAT(Split(added, ""), ElementsAre());
  EXPECT_THAT(Split(added, "<a"), ElementsAre("<a"));
}

TEST(AddedTokensTest, StripTakesWhiteSpaceAndSingleWordNeedsAnEdge) {
  AddedToken left = Token(1, "<l>");
  left.lstrip = true;
  AddedToken right = Token(2, "<r>");
  right.rstrip = true;
  AddedToken word = Token(3, "w");
  word.single_word = true;
  const AddedTokens added({left, right, word});
  EXPECT_THAT(Split(added, "a \xE3\x80\x80<l> b"), ElementsAre("a", "1 \xE3\x80\x80<l>", " b"));
  EXPECT_THAT(Split(added, "a <r> \n b"), ElementsAre("a ", "2<r> \n ", "b"));
  EXPECT_THAT(Split(added, "<r> <l>"), ElementsAre("2<r> ", "1<l>"));  // taken once
  EXPECT_THAT(Split(added, "w aw wa \xC3\xA9w w-w"),
              ElementsAre("3w", " aw wa \xC3\xA9w ", "3w", "-", "3w"));
}

TEST(AddedTokensTest, SpecialTokensStayTextWhenForbidden) {
  AddedToken special = Token(1, "<s>");
  special.special = true;
  const AddedTokens added({special, Token(2, "<t>")});
  EXPECT_THAT(Split(added, "<s><t>", /*parse_special=*/false), ElementsAre("<s>", "2<t>"));
}

TEST(AddedTokensTest, NormalizedTokensAreLookedForInNormalizedTextOnly) {
  AddedToken token = Token(1, "DAY");
  token.normalized = true;
  token.pattern = "day";
  const AddedTokens added({token});
  EXPECT_THAT(Split(added, "DAY day", true, /*normalized=*/false), ElementsAre("DAY day"));
  EXPECT_THAT(Split(added, "DAY day", true, /*normalized=*/true), ElementsAre("DAY ", "1day"));
}

}  // namespace
}  // namespace runahead
