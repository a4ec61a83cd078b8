// SentencePiece models against sentencepiece itself, and what hostile ones give.
#include "text/sentencepiece.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/text/token_golden.h"
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

}  // namespace
}  // namespace runahead
