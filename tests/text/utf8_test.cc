#include "text/utf8.h"

#include <vector>

#include "gtest/gtest.h"

namespace runahead::utf8 {
namespace {

const std::string kMark = "\xEF\xBF\xBD";

TEST(Utf8, EveryCodePointSurvivesEncodingAndDecoding) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    Append(c, text);
    const Step step = Decode(text);
    ASSERT_TRUE(step.is_valid) << static_cast<uint32_t>(c);
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(static_cast<size_t>(step.num_bytes), text.size());
  }
}

TEST(Utf8, WhatHasNoEncodingBecomesTheReplacementCharacter) {
  for (const char32_t c : {char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0x110000}}) {
    std::string text;
    Append(c, text);
    EXPECT_EQ(text, kMark);
  }
}

// Expected values are Python's bytes.decode(errors="replace").
TEST(Utf8, InvalidBytesAreReplacedAsPythonDoes) {
  const std::vector<std::pair<std::string, int>> cases = {{"\x80", 1},
                                                          {"\xC0\xAF", 2},
                                                          {"\xE2\x28\xA1", 2},
                                                          {"\xE2\x82", 1},
                                                          {"\xF0\x9F\x98", 1},
                                                          {"\xED\xA0\x80", 3},
                                                          {"\xF4\x90\x80\x80", 4},
                                                          {"\xF5\x80", 2},
                                                          {"\xE0\x80\x80", 3},
                                                          {"\xF0\x80\x80\x80", 4},
                                                          {"\xFF\xFE", 2},
                                                          {"\xE2\x82\xE2\x82\xAC", 1},
                                                          {"\xF0\x9F\x98\x41", 1}};
  for (const auto& [bytes, num_marks] : cases) {
    const std::string text = ReplaceInvalid(bytes);
    int found = 0;
    for (size_t at = 0; (at = text.find(kMark, at)) != std::string::npos; at += 3) ++found;
    EXPECT_EQ(found, num_marks) << testing::PrintToString(bytes);
  }
  EXPECT_EQ(ReplaceInvalid("\xE2\x28z"), kMark + "(z");
  EXPECT_EQ(ReplaceInvalid("ok \xF0\x9F\xA6\x8A"), "ok \xF0\x9F\xA6\x8A");
}

TEST(Utf8, OnlyAnIncompleteLastCharacterIsUncertain) {
  EXPECT_EQ(CertainLength(""), 0u);
  EXPECT_EQ(CertainLength("abc"), 3u);
  EXPECT_EQ(CertainLength("a\xE2"), 1u);
  EXPECT_EQ(CertainLength("a\xE2\x82"), 1u);
  EXPECT_EQ(CertainLength("a\xE2\x82\xAC"), 4u);
  EXPECT_EQ(CertainLength("\xF0\x9F\xA6"), 0u);
  EXPECT_EQ(CertainLength("\xF0\x9F\x28"), 3u);  // broken for good
  EXPECT_EQ(CertainLength("a\x80"), 2u);         // cannot begin anything
  EXPECT_EQ(CertainLength("\xED\xA0"), 2u);      // a surrogate: never valid
}

TEST(Utf8, CharactersAreCountedAndFound) {
  const std::string text = "a\u00e9\u6f22\U0001F98Az";
  EXPECT_EQ(CountCharacters(text), 5);
  EXPECT_EQ(OffsetOfCharacter(text, 0), 0u);
  EXPECT_EQ(OffsetOfCharacter(text, 2), 3u);
  EXPECT_EQ(OffsetOfCharacter(text, 4), 10u);
  EXPECT_EQ(OffsetOfCharacter(text, 5), 11u);
  EXPECT_EQ(OffsetOfCharacter(text, 99), 11u);
  EXPECT_FALSE(IsAscii(text));
  EXPECT_TRUE(IsAscii("abc\x7f"));
}

}  // namespace
}  // namespace runahead::utf8
