// What goldens of whole texts (tokenizer_json_stages_test) do not show: the bytes of single tokens.
#include "text/tokenizer_decoders.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

template <typename... Stages>
DecoderChain Chain(Stages... stages) {
  std::vector<DecoderPtr> list;
  (list.push_back(std::move(stages)), ...);
  return DecoderChain(std::move(list));
}

TEST(DecoderChainTest, ByteLevelTokensMayBePartsOfCharacters) {
  const DecoderChain chain = Chain(MakeByteLevelDecoder());
  EXPECT_EQ(chain.Middle("\xC4\xA0the"), " the");
  EXPECT_EQ(chain.Middle("\xC3\x83"), "\xC3");
  EXPECT_EQ(chain.Decode({"\xC3\x83", "\xC2\xA9"}), "\xC3\xA9");
  EXPECT_EQ(chain.Decode({"\xC3\x83"}), "\xEF\xBF\xBD");
  EXPECT_FALSE(chain.StripsLeadingSpace());
}

TEST(DecoderChainTest, Llama2ChainStripsOnlyTheWholeTextsSpace) {
  const DecoderChain chain =
      Chain(MakeReplaceDecoder(Pattern(std::string("\xE2\x96\x81")), " "),
            MakeByteFallbackDecoder(), MakeFuseDecoder(), MakeStripDecoder(" ", 1, 0));
  EXPECT_TRUE(chain.StripsLeadingSpace());
  EXPECT_EQ(chain.Middle("\xE2\x96\x81Hi"), " Hi");
  EXPECT_EQ(chain.Middle("<0xE4>"), "\xE4");
  EXPECT_EQ(chain.Decode({"\xE2\x96\x81Hi", "\xE2\x96\x81Hi", "<0x21>"}), "Hi Hi!");
}

TEST(DecoderChainTest, StripBeforeFuseIsPerToken) {
  const DecoderChain chain = Chain(MakeStripDecoder("_", 1, 2));
  EXPECT_EQ(chain.Middle("__a___"), "_a_");
  EXPECT_EQ(chain.Decode({"_a", "_b_"}), "ab");
  EXPECT_FALSE(chain.StripsLeadingSpace());
}

TEST(DecoderChainTest, MetaspaceDropsTheFirstTokensSpaces) {
  const DecoderChain drops = Chain(MakeMetaspaceDecoder("_", true));
  EXPECT_EQ(drops.Decode({"_a_", "_b"}), "a b");
  EXPECT_EQ(drops.Middle("_a"), " a");
  EXPECT_TRUE(drops.StripsLeadingSpace());
  const DecoderChain keeps = Chain(MakeMetaspaceDecoder("_", false));
  EXPECT_EQ(keeps.Decode({"_a_", "_b"}), " a  b");
  EXPECT_FALSE(keeps.StripsLeadingSpace());
}

TEST(DecoderChainTest, WithoutStagesTokensAreJoinedBySpaces) {
  const DecoderChain chain = Chain();
  EXPECT_EQ(chain.Decode({"a", "b"}), "a b");
  EXPECT_EQ(chain.Middle("b"), " b");
  EXPECT_TRUE(chain.StripsLeadingSpace());
}

TEST(DecoderChainTest, PatternsDoNotMeetPartsOfCharacters) {
  auto regex = Regex::Compile("[^a]");
  ASSERT_TRUE(regex.ok());
  const DecoderChain chain =
      Chain(MakeByteFallbackDecoder(), MakeReplaceDecoder(Pattern(std::move(regex).value()), "."));
  EXPECT_EQ(chain.Middle("<0xFF>"), "\xFF");
  EXPECT_EQ(chain.Middle("ab"), "a.");
}

}  // namespace
}  // namespace runahead
