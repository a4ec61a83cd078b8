#include "text/sentencepiece_proto.h"

#include "gtest/gtest.h"

#include "tests/text/token_golden.h"

namespace runahead {
namespace {

TEST(SentencePieceProtoTest, ReadsTheFieldsOfARealModel) {
  const auto model = ReadSentencePieceProto(ReadGoldenFile("rules.model"));
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->pieces.size(), 600u);
  EXPECT_EQ(model->pieces[0].text, "<unk>");
  EXPECT_EQ(model->pieces[0].type, SentencePieceModel::kUnknown);
  EXPECT_EQ(model->pieces[1].type, SentencePieceModel::kControl);
  EXPECT_EQ(model->pieces[3].text, "<|im_end|>");
  EXPECT_EQ(model->pieces[3].type, SentencePieceModel::kUserDefined);
  EXPECT_EQ(model->model_type, SentencePieceModel::kBpe);
  EXPECT_FALSE(model->byte_fallback);
  EXPECT_TRUE(model->remove_extra_whitespaces);
  EXPECT_FALSE(model->precompiled_charsmap.empty());
  EXPECT_EQ(model->bos_id, 1);
}

// Cut anywhere, the message ends inside a field or between two; it is never read beyond.
TEST(SentencePieceProtoTest, EveryTruncationIsRefusedOrShorter) {
  const std::string bytes = ReadGoldenFile("rules.model");
  int num_refused = 0;
  for (size_t length = 0; length < bytes.size(); length += 7) {
    // A copy of its own, so that a sanitizer sees a read past the end.
    const std::string cut = bytes.substr(0, length);
    const auto model = ReadSentencePieceProto(cut);
    if (model.ok()) {
      EXPECT_LE(model->pieces.size(), 600u);
    } else {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 500);
}

TEST(SentencePieceProtoTest, MalformedBytesAreRefused) {
  const std::string cases[] = {
      "",
      "\x0A",  // a tag without its length
      "\x0A\x05"
      "abc",                                           // a length beyond the end
      "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",  // a length of 2^64 - 1
      std::string(11, '\xFF'),                         // a varint without end
      "\x0B",                                          // a group
      "\x0A\x02\x0A\x09",                              // a piece whose text is cut
      "\x12\x00",                                      // no pieces
  };
  for (const std::string& bytes : cases) EXPECT_FALSE(ReadSentencePieceProto(bytes).ok());
}

}  // namespace
}  // namespace runahead
