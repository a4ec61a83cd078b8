#include "text/jinja/characters.h"

#include "gtest/gtest.h"

namespace runahead::jinja {
namespace {

TEST(JinjaCharacters, CaseFollowsUnicode) {
  EXPECT_EQ(ToUpper("straße éñ ж ŉ ﬁ"), "STRASSE ÉÑ Ж ʼN FI");
  EXPECT_EQ(ToLower("ÀÉ ΑΒΓ ЖЩ Ǆ"), "àé αβγ жщ ǆ");
  EXPECT_EQ(Capitalize("éCOLE x"), "École x");
  EXPECT_EQ(TitleCase("hello wORLD it's 3rd"), "Hello World It'S 3Rd");
}

TEST(JinjaCharacters, WhiteSpaceFollowsUnicode) {
  EXPECT_EQ(Strip("\u00a0\u3000 a b \u2028\x1f"), "a b");
  EXPECT_EQ(StripLeft(" \t\n"), "");
  EXPECT_EQ(StripRight("a\u200b"), "a\u200b");  // ZERO WIDTH SPACE is no space to Python
}

TEST(JinjaCharacters, ClassesFollowPython) {
  EXPECT_TRUE(IsLetter(U'漢') && IsLetter(U'é') && !IsLetter(U'1') && !IsLetter(U'🦊'));
  EXPECT_TRUE(IsDigit(U'7') && IsDigit(U'٣') && IsDigit(U'²') && !IsDigit(U'½'));
  EXPECT_TRUE(IsPrintable(U' ') && IsPrintable(U'🦊') && !IsPrintable(U'\u00a0') &&
              !IsPrintable(U'\u200b'));
  EXPECT_TRUE(IsUpper(U'É') && IsLower(U'é') && IsLower(U'ß') && !IsCased(U'漢'));
}

}  // namespace
}  // namespace runahead::jinja
