// Results on texts are golden (tokenizer_json_stages_test); here, what becomes of the text's
// origin.
#include "text/tokenizer_normalizers.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

NormalizedText Apply(const NormalizerPtr& normalizer, std::string text, size_t origin_bytes) {
  NormalizedText normalized{std::move(text), origin_bytes};
  normalizer->Apply(&normalized);
  EXPECT_LE(normalized.origin_bytes, normalized.text.size());
  return normalized;
}

TEST(NormalizersTest, OriginFollowsTheFirstCharacter) {
  const auto nfkd = MakeUnicodeNormalizer(NormalForm::kNfkd);
  EXPECT_EQ(Apply(nfkd, "\xEF\xAC\x81x", 3).origin_bytes, 2u);  // the fi ligature
  EXPECT_EQ(Apply(MakePrepend("__"), "ab", 1).origin_bytes, 3u);
  EXPECT_EQ(Apply(MakePrepend("__"), "ab", 0).origin_bytes, 0u);
  EXPECT_EQ(Apply(MakeLowercase(), "\xC4\xB0x", 2).origin_bytes, 3u);
  EXPECT_EQ(Apply(MakeStrip(true, false), " x", 1).origin_bytes, 0u);
  EXPECT_EQ(Apply(MakeStrip(false, true), "x ", 1).origin_bytes, 1u);
  EXPECT_EQ(Apply(MakeStrip(true, true), "  ", 1).origin_bytes, 0u);
  EXPECT_EQ(Apply(MakeStripAccents(), "\xCC\x81x", 2).origin_bytes, 0u);
  EXPECT_EQ(Apply(MakeByteLevelNormalizer(), " x", 1).origin_bytes, 2u);
}

TEST(NormalizersTest, OriginSurvivesReplacement) {
  const auto replace = MakeReplace(Pattern(std::string("a")), "xyz");
  EXPECT_EQ(Apply(replace, "ab", 1).origin_bytes, 3u);
  EXPECT_EQ(Apply(replace, "ba", 1).origin_bytes, 1u);
  EXPECT_EQ(Apply(MakeReplace(Pattern(std::string("a")), ""), "ab", 1).origin_bytes, 0u);
}

TEST(NormalizersTest, EmptyTextsStayEmpty) {
  EXPECT_EQ(Apply(MakePrepend("_"), "", 0).text, "");
  EXPECT_EQ(Apply(MakeStrip(true, true), "", 0).text, "");
}

}  // namespace
}  // namespace runahead
