#include "text/unicode.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(UnicodeTest, EveryCharacterSurvivesEncodingAndDecoding) {
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    AppendUtf8(code, &text);
    ASSERT_TRUE(IsValidUtf8(text)) << code;
    const Utf8Char c = DecodeUtf8(text, 0);
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.num_bytes, text.size());
  }
}

struct Invalid {
  std::string bytes;
  std::string replaced;
};

// Table 3-8 of the Unicode standard and its kin; "\uFFFD" for each maximal subpart.
TEST(UnicodeTest, MaximalInvalidPartsBecomeOneReplacementEach) {
  const std::string r = "\xEF\xBF\xBD";
  const Invalid cases[] = {
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", r + r + r + r + r + "A" + r + r + "B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},
      {"abc\xE4\xBD", "abc" + r},
      {"\xF0\x9F\x8E", r},
      {"0123456789\xFF"
       "0123456789",
       "0123456789" + r + "0123456789"},
  };
  for (const Invalid& one : cases) {
    EXPECT_FALSE(IsValidUtf8(one.bytes));
    EXPECT_EQ(LossyUtf8(one.bytes), one.replaced);
  }
  EXPECT_EQ(LossyUtf8("na\xC3\xAFve \xF0\x9F\x8E\x89"), "na\xC3\xAFve \xF0\x9F\x8E\x89");
}

TEST(UnicodeTest, NormalizationForms) {
  const std::string text = "e\xCC\x81 \xEF\xAC\x81 \xC3\xA9";  // e + acute, the fi ligature, é
  EXPECT_EQ(NormalizeUnicode(NormalForm::kNfc, text), "\xC3\xA9 \xEF\xAC\x81 \xC3\xA9");
  EXPECT_EQ(NormalizeUnicode(NormalForm::kNfd, text), "e\xCC\x81 \xEF\xAC\x81 e\xCC\x81");
  EXPECT_EQ(NormalizeUnicode(NormalForm::kNfkc, text), "\xC3\xA9 fi \xC3\xA9");
  EXPECT_EQ(NormalizeUnicode(NormalForm::kNfkd, text), "e\xCC\x81 fi e\xCC\x81");
  EXPECT_EQ(NormalizeUnicode(NormalForm::kNfkd, "plain ASCII"), "plain ASCII");
}

TEST(UnicodeTest, LowerCaseIsPerCharacter) {
  EXPECT_EQ(LowerUnicode("ABC \xC3\x89\xCE\xA3"), "abc \xC3\xA9\xCF\x83");  // no final sigma
  EXPECT_EQ(LowerUnicode("\xC4\xB0"), "i\xCC\x87");
}

TEST(UnicodeTest, Classes) {
  for (const uint32_t code : {0x20u, 0x9u, 0x85u, 0xA0u, 0x2028u, 0x3000u}) {
    EXPECT_TRUE(IsWhiteSpace(code)) << code;
  }
  for (const uint32_t code : {0x180Eu, 0x200Bu, 0xFEFFu, 0x5Fu})
    EXPECT_FALSE(IsWhiteSpace(code)) << code;
  for (const uint32_t code : {0x31u, 0xBDu, 0x664u, 0x2167u}) EXPECT_TRUE(IsNumeric(code)) << code;
  EXPECT_FALSE(IsNumeric('x'));
  for (const char c : std::string_view("!$+<=>^`|~-_.")) {
    EXPECT_TRUE(IsPunctuation(static_cast<uint32_t>(c))) << c;
  }
  EXPECT_TRUE(IsPunctuation(0x3002));
  EXPECT_FALSE(IsPunctuation(0x20AC));
  EXPECT_TRUE(IsMark(0x301));
  EXPECT_FALSE(IsMark('a'));
  for (const uint32_t code : {0x61u, 0x5Fu, 0x301u, 0x200Du, 0x4E2Du, 0x39u})
    EXPECT_TRUE(IsWord(code)) << code;
  for (const uint32_t code : {0x2Du, 0x20u, 0x1F389u}) EXPECT_FALSE(IsWord(code)) << code;
}

}  // namespace
}  // namespace runahead
