#include "text/detokenizer.h"

#include <random>

#include "gtest/gtest.h"

#include "text/utf8.h"

namespace runahead {
namespace {

// One token per byte (ids 0..255), then some words; id 300 is special. Decode joins the bytes.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool strips_space = false) : strips_space_(strips_space) {
    for (int b = 0; b < 256; ++b) pieces_.emplace_back(1, static_cast<char>(b));
    pieces_.insert(pieces_.end(), {" word", " ", "\xE6\xBC", "\xA2\xE5\xAD", "\xF0\x9F\xA6\x8A!"});
    pieces_.resize(300);
    pieces_.push_back("<s>");
  }
  std::vector<int32_t> Encode(std::string_view, EncodeOptions) const override { return {}; }
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const override {
    std::string bytes;
    for (const int32_t id : ids) {
      if (!skip_special || !IsSpecial(id)) bytes += TokenBytes(id);
    }
    if (strips_space_ && bytes.starts_with(' ')) bytes.erase(0, 1);
    return utf8::ReplaceInvalid(bytes);
  }
  std::string_view TokenBytes(int32_t id) const override {
    return id < 0 || id >= vocab_size() ? std::string_view() : pieces_[static_cast<size_t>(id)];
  }
  std::optional<std::string> IdToToken(int32_t) const override { return std::nullopt; }
  std::optional<int32_t> TokenToId(std::string_view) const override { return std::nullopt; }
  bool IsSpecial(int32_t id) const override { return id == 300; }
  bool StripsLeadingSpace() const override { return strips_space_; }
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }

 private:
  std::vector<std::string> pieces_;
  bool strips_space_;
};

bool IsValid(const std::string& text) { return utf8::ReplaceInvalid(text) == text; }

TEST(Detokenizer, HoldsBackHalfACharacter) {
  const ByteTokenizer tokenizer;
  Detokenizer detokenizer(tokenizer, true);
  EXPECT_EQ(detokenizer.Push('a'), "a");
  EXPECT_EQ(detokenizer.Push(0xE6), "");
  EXPECT_EQ(detokenizer.Push(0xBC), "");
  EXPECT_EQ(detokenizer.Push(0xA2), "\u6f22");
  EXPECT_EQ(detokenizer.Push(258), "");
  EXPECT_EQ(detokenizer.Push(259), "\u6f22");  // the next character has begun
  EXPECT_EQ(detokenizer.Push(0x97), "\u5b57");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(Detokenizer, BrokenCharactersBecomeOneMark) {
  const ByteTokenizer tokenizer;
  Detokenizer detokenizer(tokenizer, true);
  EXPECT_EQ(detokenizer.Push(0xE6), "");
  EXPECT_EQ(detokenizer.Push('x'), "\uFFFDx");
  EXPECT_EQ(detokenizer.Push(0xF0), "");
  EXPECT_EQ(detokenizer.Push(0x9F), "");
  EXPECT_EQ(detokenizer.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(Detokenizer, SpecialTokensAreSkippedOnRequest) {
  const ByteTokenizer tokenizer;
  Detokenizer skips(tokenizer, true);
  EXPECT_EQ(skips.Push(300), "");
  Detokenizer keeps(tokenizer, false);
  EXPECT_EQ(keeps.Push(300), "<s>");
  EXPECT_EQ(keeps.Push(-1) + keeps.Push(5000), "");
}

TEST(Detokenizer, OnlyTheFirstTextOfAFreshStreamLosesItsSpace) {
  const ByteTokenizer tokenizer(true);
  Detokenizer fresh(tokenizer, true, false);
  EXPECT_EQ(fresh.Push(300), "");
  EXPECT_EQ(fresh.Push(256), "word");
  EXPECT_EQ(fresh.Push(256), " word");
  Detokenizer continuing(tokenizer, true, true);
  EXPECT_EQ(continuing.Push(256), " word");
  Detokenizer lone(tokenizer, true, false);
  EXPECT_EQ(lone.Push(257) + lone.Push(257), " ");
}

TEST(Detokenizer, PiecesJoinToTheDecodedStream) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const ByteTokenizer tokenizer(round % 2 == 0);
    const bool skip_special = round % 3 != 0;
    std::vector<int32_t> ids;
    const int count = static_cast<int>(random() % 30);
    for (int i = 0; i < count; ++i) {
      // Mostly bytes of multi-byte characters, so that they meet, break and complete each other.
      const uint32_t kind = random() % 8;
      ids.push_back(static_cast<int32_t>(kind < 4   ? 0x80 + random() % 0x80
                                         : kind < 5 ? 0x20 + random() % 0x60
                                         : kind < 7 ? 256 + random() % 5
                                                    : 300));
    }
    Detokenizer detokenizer(tokenizer, skip_special, false);
    std::string joined;
    for (const int32_t id : ids) {
      const std::string piece = detokenizer.Push(id);
      ASSERT_TRUE(IsValid(piece));
      joined += piece;
    }
    joined += detokenizer.Finish();
    ASSERT_EQ(joined, tokenizer.Decode(ids, skip_special)) << testing::PrintToString(ids);
  }
}

}  // namespace
}  // namespace runahead
