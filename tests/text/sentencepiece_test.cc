// SentencePiece models against sentencepiece itself, and what hostile ones give.
#include "text/sentencepiece.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/text/token_golden.h"
#include "text/sentencepiece_proto.h"
#include "text/tokenizer.h"

namespace runahead {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

class SentencePieceGoldenTest : public testing::TestWithParam<const char*> {};

// `identity`: byte fallback, white space kept. `rules`: a character map, user-defined pieces, extra
// white space removed, no byte fallback.
TEST_P(SentencePieceGoldenTest, EqualsSentencePiece) {
  const std::string name = std::string(GetParam()) + ".model";
  const auto tokenizer = ParseSentencePieceModel(ReadGoldenFile(name));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const Json golden = ReadGolden(name + ".golden.json");
  ASSERT_GT(golden["cases"].size(), 80u);
  for (const Json& one : golden["cases"]) {
    const Ids ids = one["ids"];
    EXPECT_EQ((*tokenizer)->Encode(CaseText(one), {.add_special_tokens = false}), ids) << one;
    Ids framed = ids;
    framed.insert(framed.begin(), 1);
    EXPECT_EQ((*tokenizer)->Encode(CaseText(one), {}), framed) << one;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePieceGoldenTest, testing::Values("identity", "rules"),
                         [](const auto& param_info) { return std::string(param_info.param); });

// sentencepiece shows an unknown piece as " ⁇ ", Hugging Face as it is spelled; so only texts
// without.
TEST(SentencePieceTest, DecodesAsSentencePiece) {
  const auto tokenizer = ParseSentencePieceModel(ReadGoldenFile("identity.model"));
  ASSERT_TRUE(tokenizer.ok());
  const Json golden = ReadGolden("identity.model.golden.json");
  for (const Json& one : golden["cases"]) {
    EXPECT_EQ((*tokenizer)->Decode(Ids(one["ids"]), true), one["decoded"].get<std::string>());
  }
}

// A model of the given pieces, written as Protobuf.
std::string MakeModel(const std::vector<SentencePieceModel::Piece>& pieces, int model_type = 2) {
  std::string bytes;
  for (const auto& piece : pieces) {
    std::string message = "\x0A";
    message.push_back(static_cast<char>(piece.text.size()));
    message += piece.text + "\x15";
    message.append(reinterpret_cast<const char*>(&piece.score), 4);
    message += "\x18";
    message.push_back(static_cast<char>(piece.type));
    bytes += "\x0A";
    bytes.push_back(static_cast<char>(message.size()));
    bytes += message;
  }
  return bytes + "\x12\x02\x18" + static_cast<char>(model_type);
}

std::vector<SentencePieceModel::Piece> Pieces() {
  using Model = SentencePieceModel;
  return {{"<unk>", 0, Model::kUnknown}, {"<s>", 0, Model::kControl}, {"</s>", 0, Model::kControl},
          {"▁", -1, Model::kNormal},     {"<", -2, Model::kNormal},   {"s", -3, Model::kNormal},
          {">", -4, Model::kNormal},     {"<s", -5, Model::kNormal}};
}

// Text that spells a control piece must not become one by merging when special tokens are
// forbidden.
TEST(SentencePieceTest, ControlPiecesAreNotMadeByMerging) {
  const auto tokenizer = ParseSentencePieceModel(MakeModel(Pieces()));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode("<s>", {.add_special_tokens = false}), (Ids{1}));
  EXPECT_EQ((*tokenizer)->Encode("<s>", {.add_special_tokens = false, .parse_special = false}),
            (Ids{3, 7, 6}));
  EXPECT_TRUE((*tokenizer)->IsSpecial(1));
  EXPECT_TRUE((*tokenizer)->StripsLeadingSpace());
}

TEST(SentencePieceTest, EqualScoresMergeFromTheLeft) {
  using Model = SentencePieceModel;
  const auto tokenizer = ParseSentencePieceModel(MakeModel({{"<unk>", 0, Model::kUnknown},
                                                            {"bc", -1, Model::kNormal},
                                                            {"ab", -1, Model::kNormal},
                                                            {"a", -2, Model::kNormal},
                                                            {"b", -2, Model::kNormal},
                                                            {"c", -2, Model::kNormal},
                                                            {"▁", -2, Model::kNormal}}));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode("abc", {.add_special_tokens = false}), (Ids{6, 2, 5}));
}

TEST(SentencePieceTest, FrameFollowsTheOptions) {
  const std::string model = MakeModel(Pieces());
  const auto both = MakeSentencePieceTokenizer(model, {.add_bos = true, .add_eos = true});
  EXPECT_EQ((*both)->Encode("s", {}), (Ids{1, 3, 5, 2}));
  const auto none = MakeSentencePieceTokenizer(model, {.add_bos = false, .add_eos = false});
  EXPECT_EQ((*none)->Encode("s", {}), (Ids{3, 5}));
}

TEST(SentencePieceTest, UnsupportedModelsAreRefusedByName) {
  EXPECT_THAT(ParseSentencePieceModel(MakeModel(Pieces(), 1)).status().message(),
              HasSubstr("model_type 1"));
  const auto refuse = [](auto change, const char* message) {
    auto pieces = Pieces();
    change(pieces.back());
    EXPECT_THAT(ParseSentencePieceModel(MakeModel(pieces)).status().message(), HasSubstr(message));
  };
  using Piece = SentencePieceModel::Piece;
  refuse([](Piece& piece) { piece.type = SentencePieceModel::kUnused; }, "piece 7 has type 5");
  refuse([](Piece& piece) { piece.type = 77; }, "piece 7 has type 77");
  refuse([](Piece& piece) { piece.score = NAN; }, "piece 7 has no finite score");
  refuse([](Piece& piece) { piece.text = "s"; }, "'s' has two ids");
  refuse([](Piece& piece) { piece.text = "\xFF"; }, "piece 7 is empty or not UTF-8");
  refuse([](Piece& piece) { piece.text = ""; }, "piece 7 is empty or not UTF-8");
}

// One pre-token as long as the text: no pre-tokenizer cuts it.
TEST(SentencePieceTest, OneMebibyteIsEncodedWithoutQuadraticWork) {
  const auto tokenizer = ParseSentencePieceModel(MakeModel(Pieces()));
  ASSERT_TRUE(tokenizer.ok());
  Ids expected(1 << 20, 5);
  expected.insert(expected.begin(), 3);
  EXPECT_EQ((*tokenizer)->Encode(std::string(1 << 20, 's'), {.add_special_tokens = false}),
            expected);
}

}  // namespace
}  // namespace runahead
