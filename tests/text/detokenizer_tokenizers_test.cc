// The detokenizer on real tokenizers: what it streams is what they decode.
#include <random>

#include "gtest/gtest.h"

#include "tests/published_data.h"
#include "tests/source_dir.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace runahead {
namespace {

constexpr const char* kTexts[] = {
    "Hello, world!",
    " leading and trailing ",
    "Zażółć gęślą jaźń",
    "漢字とかな 한국어 العربية ไทย",
    "🦊🏳️‍🌈👨‍👩‍👧 é e\u0301",
    "tabs\t\nnew\r\nlines\n\n\n",
    "",
    " ",
    "x = {'a': 1}; // 100% <|im_end|>",
};

std::string Stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  Detokenizer detokenizer(tokenizer, true, false);
  std::string text;
  for (const int32_t id : ids) text += detokenizer.Push(id);
  return text + detokenizer.Finish();
}

void ExpectTextsToStream(const Tokenizer& tokenizer) {
  for (const char* text : kTexts) {
    const std::vector<int32_t> ids = tokenizer.Encode(text, {});
    EXPECT_EQ(Stream(tokenizer, ids), tokenizer.Decode(ids, true)) << text;
  }
}

// Ids nobody encoded: characters begin, break and end anywhere.
void ExpectRandomIdsToStream(const Tokenizer& tokenizer) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids(random() % 40);
    for (int32_t& id : ids) {
      // Half of them from the bytes at the vocabulary's start.
      const auto range = static_cast<uint32_t>(round % 2 == 0 ? tokenizer.vocab_size() : 256);
      id = static_cast<int32_t>(random() % range);
    }
    ASSERT_EQ(Stream(tokenizer, ids), tokenizer.Decode(ids, true)) << testing::PrintToString(ids);
  }
}

TEST(DetokenizerWithTokenizers, TheDemoModels) {
  const auto tokenizer = LoadTokenizer(SourceDir() + "/models/demo/target");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  ExpectTextsToStream(**tokenizer);
  ExpectRandomIdsToStream(**tokenizer);
}

TEST(DetokenizerWithTokenizers, Published) {
  const auto data = PublishedData();
  if (!data) GTEST_SKIP() << "RUNAHEAD_TEST_DATA is not set: no published tokenizers here";
  const auto gpt2 = LoadTokenizer(*data / "tokenizers/gpt2");
  ASSERT_TRUE(gpt2.ok()) << gpt2.status().message();
  ExpectTextsToStream(**gpt2);
  ExpectRandomIdsToStream(**gpt2);
  // Invalid runs of byte tokens are where a SentencePiece decoder differs on purpose, so no random
  // ids.
  const auto llama2 = LoadTokenizer(*data / "tokenizers/llama2");
  ASSERT_TRUE(llama2.ok()) << llama2.status().message();
  ExpectTextsToStream(**llama2);
}

}  // namespace
}  // namespace runahead
