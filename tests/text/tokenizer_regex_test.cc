#include "text/tokenizer_regex.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Stretches as text: matches in brackets.
std::vector<std::string> Find(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::Compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  std::vector<Stretch> stretches;
  if (regex.ok()) regex->FindAll(text, &stretches);
  std::vector<std::string> parts;
  for (const Stretch& stretch : stretches) {
    const std::string part(text.substr(stretch.begin, stretch.end - stretch.begin));
    parts.push_back(stretch.is_match ? "[" + part + "]" : part);
  }
  return parts;
}

TEST(RegexTest, MatchesAndGapsCoverTheText) {
  EXPECT_THAT(Find("b+", "abbcb"), ElementsAre("a", "[bb]", "c", "[b]"));
  EXPECT_THAT(Find("x", "abc"), ElementsAre("abc"));
  EXPECT_THAT(Find("b", ""), ElementsAre());
  EXPECT_THAT(Find(R"(\s+(?!\S)|\s+)", "a   b "), ElementsAre("a", "[  ]", "[ ]", "b", "[ ]"));
}

TEST(RegexTest, EmptyMatchesAdvance) {
  EXPECT_THAT(Find("x*", "axb"), ElementsAre("[]", "a", "[x]", "b", "[]"));
  EXPECT_THAT(Find("",
                   "\xC3\xA9"
                   "a"),
              ElementsAre("[]", "\xC3\xA9", "[]", "a", "[]"));
}

TEST(RegexTest, ClassesAreOnigurumas) {
  EXPECT_THAT(Find(R"(\s)", "\xE1\xA0\x8E\xC2\x85"), ElementsAre("\xE1\xA0\x8E", "[\xC2\x85]"));
  EXPECT_THAT(Find(R"(\w+)", "a\xCC\x81\xC2\xBD-"), ElementsAre("[a\xCC\x81\xC2\xBD]", "-"));
  EXPECT_THAT(Find(R"(\h+)", "zf0 "), ElementsAre("z", "[f0]", " "));
  EXPECT_THAT(Find(R"([\S]+)", "a\xE1\xA0\x8E b"), ElementsAre("[a\xE1\xA0\x8E]", " ", "[b]"));
  EXPECT_THAT(Find(R"([^\s\]]+)", "a] "), ElementsAre("[a]", "] "));
  EXPECT_THAT(Find(R"([[:punct:]]+)", "a+\xE2\x82\xAC!b"),
              ElementsAre("a", "[+\xE2\x82\xAC!]", "b"));
  EXPECT_THAT(Find("(?i:'s)", "'S'\xC5\xBF"), ElementsAre("['S]", "['\xC5\xBF]"));
  EXPECT_THAT(Find("^b", "a\nb"), ElementsAre("a\n", "[b]"));
}

TEST(RegexTest, WhatPcre2WouldReadOtherwiseIsRefused) {
  for (const char* pattern :
       {"[a&&b]", "[a[bc]]", R"([\W])", "[[:graph:]]", "[a", "(?m:.)", "[[:alpha"}) {
    EXPECT_THAT(OnigurumaToPcre2(pattern).status().message(), HasSubstr("not supported"))
        << pattern;
  }
  for (const std::string& pattern :
       {std::string("("), std::string("a{2,1}"), std::string("\\C"), std::string("\xFF"),
        std::string(1000, '(') + std::string(1000, ')')}) {
    EXPECT_EQ(Regex::Compile(pattern).status().code(), StatusCode::kInvalidArgument);
  }
}

// Llama 3's pattern backtracks over the whole run before it takes it: neither the JIT's stack nor
// the square of the length may show.
TEST(RegexTest, LongRunsOfWhiteSpaceMatchAsOne) {
  const std::string text = std::string(1 << 24, ' ') + "x";
  const auto regex = Regex::Compile(R"( ?\p{L}+|\s*[\r\n]+|\s+(?!\S)|\s+)");
  ASSERT_TRUE(regex.ok());
  std::vector<Stretch> stretches;
  regex->FindAll(text, &stretches);
  ASSERT_EQ(stretches.size(), 2u);  // all but the space that belongs to the word
  EXPECT_EQ(stretches[0].end, text.size() - 2);
}

// A group's repetitions live on the JIT's stack, and these do not fit the machine's.
TEST(RegexTest, DeepBacktrackingGetsALargerStack) {
  const std::string text = std::string(1 << 14, 'a') + "bc";
  const auto regex = Regex::Compile("(?:a|(ab))+c|.*d|a+bc");
  ASSERT_TRUE(regex.ok());
  std::vector<Stretch> stretches;
  regex->FindAll(text, &stretches);
  ASSERT_EQ(stretches.size(), 1u);
  EXPECT_TRUE(stretches[0].is_match);
}

// Catastrophic backtracking meets PCRE2's match limit; the text is then one gap, not lost.
TEST(RegexTest, PatternsThatExplodeLeaveTheTextWhole) {
  const std::string text = std::string(60, 'a') + "b";
  const auto regex = Regex::Compile("(a|a|aa)+$");
  ASSERT_TRUE(regex.ok());
  std::vector<Stretch> stretches;
  regex->FindAll(text, &stretches);
  size_t covered = 0;
  for (const Stretch& stretch : stretches) {
    EXPECT_EQ(stretch.begin, covered);
    covered = stretch.end;
  }
  EXPECT_EQ(covered, text.size());
}

}  // namespace
}  // namespace runahead
