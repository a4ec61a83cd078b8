#include "text/tokenizer_byte_level.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(ByteLevelTest, EveryByteHasOneCharacter) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  std::string characters;
  AppendByteLevel(bytes, &characters);
  EXPECT_EQ(BytesOfByteLevel(characters), bytes);
}

TEST(ByteLevelTest, SpellsAsGpt2) {
  std::string characters;
  AppendByteLevel(" a\n\xC3\xA9", &characters);
  EXPECT_EQ(characters,
            "\xC4\xA0"
            "a\xC4\x8A\xC3\x83\xC2\xA9");  // ĠaĊÃ©
}

TEST(ByteLevelTest, OtherCharactersStandForNoByte) {
  EXPECT_EQ(BytesOfByteLevel("a b"), std::nullopt);  // a space is spelled Ġ
  EXPECT_EQ(BytesOfByteLevel("\xE2\x96\x81"), std::nullopt);
  EXPECT_EQ(BytesOfByteLevel(""), "");
}

}  // namespace
}  // namespace runahead
