// Equality with Hugging Face's `tokenizers` on small trained tokenizers, and what malformed files
// give.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/text/token_golden.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace runahead {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

class GoldenTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto result = ParseTokenizerJson(ReadGoldenFile(std::string(GetParam()) + ".json"));
    ASSERT_TRUE(result.ok()) << result.status().message();
    tokenizer_ = std::move(result).value();
    golden_ = ReadGolden(std::string(GetParam()) + ".golden.json");
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  Json golden_;
};

TEST_P(GoldenTest, EncodesAsHuggingFace) {
  ASSERT_GT(golden_["cases"].size(), 80u);
  for (const Json& one : golden_["cases"]) {
    const std::string text = CaseText(one);
    const Ids plain = one["ids"];
    EXPECT_EQ(tokenizer_->Encode(text, {.add_special_tokens = false}), plain) << one;
    EXPECT_EQ(tokenizer_->Encode(text, {}), one.value("framed", plain)) << one;
    EXPECT_EQ(tokenizer_->Encode(text, {.add_special_tokens = false, .parse_special = false}),
              one.value("unparsed", plain))
        << one;
  }
}

TEST_P(GoldenTest, DecodesAsHuggingFace) {
  for (const char* list : {"cases", "decodes"}) {
    for (const Json& one : golden_[list]) {
      const Ids ids = one["ids"];
      const std::string decoded = one["decoded"];
      EXPECT_EQ(tokenizer_->Decode(ids, false), decoded) << one;
      EXPECT_EQ(tokenizer_->Decode(ids, true), one.value("skipped", decoded)) << one;
    }
  }
}

// What the incremental detokenizer builds on: the tokens' bytes in a row are the decoded text, but
// for a leading space. Byte fallback is left out where it meets invalid UTF-8: there Hugging Face
// writes a U+FFFD for every byte of the run, whole characters included.
TEST_P(GoldenTest, TokenBytesConcatenateToTheDecodedText) {
  for (const Json& one : golden_["cases"]) {
    std::string bytes;
    for (const int32_t id : Ids(one["ids"])) bytes += tokenizer_->TokenBytes(id);
    std::string decoded = one["decoded"];
    if (tokenizer_->StripsLeadingSpace() && bytes.starts_with(' ')) bytes.erase(0, 1);
    if (one.contains("hex") || decoded.starts_with("▁▁")) continue;
    if (std::string(GetParam()) == "mixed") {
      // The Metaspace decoder drops every space of the first token, not only one.
      bytes.erase(0, bytes.find_first_not_of(' '));
      decoded.erase(0, decoded.find_first_not_of(' '));
    }
    EXPECT_EQ(LossyUtf8(bytes), decoded) << one;
  }
}

TEST_P(GoldenTest, IdsAndSpellingsAreInverse) {
  int num_tokens = 0;
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    const auto token = tokenizer_->IdToToken(id);
    if (!token) continue;
    ++num_tokens;
    EXPECT_EQ(tokenizer_->TokenToId(*token), id) << *token;
  }
  EXPECT_GE(num_tokens, 500);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, GoldenTest,
                         testing::Values("gpt2", "llama3", "qwen2", "llama2", "mixed"),
                         [](const auto& param_info) { return std::string(param_info.param); });

TEST(TokenizerJsonTest, IdsOutOfRangeAreNothing) {
  const auto tokenizer = ParseTokenizerJson(ReadGoldenFile("gpt2.json"));
  ASSERT_TRUE(tokenizer.ok());
  const int32_t beyond = (*tokenizer)->vocab_size();
  EXPECT_EQ((*tokenizer)->Decode(Ids{-1, beyond, INT32_MAX, INT32_MIN}, false), "");
  for (const int32_t id : {-1, beyond, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ((*tokenizer)->TokenBytes(id), "");
    EXPECT_EQ((*tokenizer)->IdToToken(id), std::nullopt);
    EXPECT_FALSE((*tokenizer)->IsSpecial(id));
  }
  EXPECT_EQ((*tokenizer)->TokenToId("no such token"), std::nullopt);
}

TEST(TokenizerJsonTest, SpecialTokensAreSpecialAndKeepTheirContent) {
  const auto tokenizer = ParseTokenizerJson(ReadGoldenFile("qwen2.json"));
  ASSERT_TRUE(tokenizer.ok());
  const auto im_start = (*tokenizer)->TokenToId("<|im_start|>");
  const auto tool_call = (*tokenizer)->TokenToId("<tool_call>");
  ASSERT_TRUE(im_start && tool_call);
  EXPECT_TRUE((*tokenizer)->IsSpecial(*im_start));
  EXPECT_FALSE((*tokenizer)->IsSpecial(*tool_call));
  EXPECT_EQ((*tokenizer)->TokenBytes(*im_start), "<|im_start|>");
  EXPECT_EQ((*tokenizer)->TokenBytes(*tool_call), "<tool_call>");
}

// A pre-token of 2^20 equal letters: merging must not search it again and again.
TEST(TokenizerJsonTest, OneMebibyteOfOneByteIsEncodedWithoutQuadraticWork) {
  Json json = {{"model",
                {{"type", "BPE"},
                 {"vocab", {{"a", 0}, {"aa", 1}, {"aaaa", 2}, {"aaaaaaaa", 3}}},
                 {"merges", {"a a", "aa aa", "aaaa aaaa"}}}},
               {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
               {"decoder", {{"type", "ByteLevel"}}}};
  const auto tokenizer = ParseTokenizerJson(json.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::string text((1 << 20) + 7, 'a');
  Ids expected(1 << 17, 3);
  expected.insert(expected.end(), {2, 1, 0});
  EXPECT_EQ((*tokenizer)->Encode(text, {}), expected);
  EXPECT_EQ((*tokenizer)->Decode(expected, true), text);
}

// The smallest file that loads, changed by each of the cases below.
Json Valid() {
  return {{"added_tokens", {{{"id", 3}, {"content", "<s>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
            {"merges", Json::array({Json::array({"a", "b"})})}}}};
}

struct Malformed {
  const char* path;   // JSON pointer into Valid()
  const char* value;  // put there
  const char* error;  // part of the message
};

TEST(TokenizerJsonTest, MalformedAndUnsupportedPartsAreNamed) {
  ASSERT_TRUE(ParseTokenizerJson(Valid().dump()).ok());
  const Malformed cases[] = {
      {"/model", "null", "model is not an object"},
      {"/model/type", R"("Unigram")", "'Unigram' is not supported"},
      {"/model/vocab", "[]", "model.vocab is not an object"},
      {"/model/vocab/a", "-1", "'a' has id -1"},
      {"/model/vocab/a", "1000000000", "'a' has id 1000000000"},
      {"/model/vocab/a", "18446744073709551615", "no integer"},
      {"/model/vocab/a", "1.5", "no integer"},
      {"/model/vocab/a", "1", "id 1 names both"},
      {"/model/merges", R"(["a c"])", "outside the vocabulary: 'a' + 'c'"},
      {"/model/merges", R"(["b a"])", "outside the vocabulary: 'b' + 'a'"},
      {"/model/merges", R"(["ab"])", "no pair"},
      {"/model/merges", R"(["a b c"])", "no pair"},
      {"/model/merges", R"([["a"]])", "no pair"},
      {"/model/merges", R"([7])", "no pair"},
      {"/model/merges", "{}", "model.merges is not an array"},
      {"/model/dropout", "0.1", "model.dropout"},
      {"/model/continuing_subword_prefix", R"("##")", "continuing_subword_prefix '##'"},
      {"/model/end_of_word_suffix", R"("</w>")", "end_of_word_suffix '</w>'"},
      {"/model/byte_fallback", "3", "model.byte_fallback is not a boolean"},
      {"/added_tokens", "{}", "added_tokens is not an array"},
      {"/added_tokens/0", "7", "added_tokens[0] is not an object"},
      {"/added_tokens/0/id", "-3", "added_tokens[0].id"},
      {"/added_tokens/0/id", "1000000000", "added_tokens[0].id"},
      {"/added_tokens/0/id", "1", "claims id 1 of 'b'"},
      {"/added_tokens/0/content", "null", "added_tokens[0].content"},
      {"/added_tokens", R"([{"id":3,"content":"x"},{"id":3,"content":"y"}])", "conflict over id 3"},
      {"/added_tokens", R"([{"id":3,"content":"x"},{"id":4,"content":"x"}])", "conflict over id 4"},
      {"/normalizer", R"({"type":"Precompiled"})",
       "normalizer type 'Precompiled' is not supported"},
      {"/normalizer", R"({"type":"Prepend"})", "normalizer.prepend is not a string"},
      {"/normalizer", R"({"type":"Replace","pattern":{"Regex":"("},"content":""})",
       "does not compile"},
      {"/normalizer", R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Nope"}]})",
       "normalizer.normalizers[1] type 'Nope'"},
      {"/pre_tokenizer", R"({"type":"UnicodeScripts"})", "pre_tokenizer type 'UnicodeScripts'"},
      {"/pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"[a&&b]"}})", "intersections"},
      {"/pre_tokenizer", R"({"type":"Split","pattern":{"String":"a"},"behavior":"Odd"})", "'Odd'"},
      {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})", "not one character"},
      {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"_","prepend_scheme":"odd"})",
       "'odd'"},
      {"/pre_tokenizer", "7", "pre_tokenizer is not an object"},
      {"/pre_tokenizer", "{}", "pre_tokenizer.type is not a string"},
      {"/post_processor", R"({"type":"Odd"})", "post_processor type 'Odd'"},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{}})",
       "no ids for 'x'"},
      {"/post_processor", R"({"type":"TemplateProcessing","single":[],"special_tokens":{}})",
       "sequence A"},
      {"/decoder", R"({"type":"WordPiece"})", "decoder type 'WordPiece'"},
      {"/decoder", R"({"type":"Strip","content":" ","start":-1,"stop":0})", "decoder.start"},
  };
  for (const Malformed& one : cases) {
    Json json = Valid();
    json[Json::json_pointer(one.path)] = Json::parse(one.value);
    const auto tokenizer = ParseTokenizerJson(json.dump());
    ASSERT_FALSE(tokenizer.ok()) << one.path << " " << one.value;
    EXPECT_EQ(tokenizer.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(tokenizer.status().message(), HasSubstr(one.error)) << one.path;
  }
}

TEST(TokenizerJsonTest, WhatIsNoJsonObjectIsRefused) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("{\"model\":"),
        std::string("{\"model\": \"\xff\"}"), deep, "{\"normalizer\":" + deep + "}"}) {
    EXPECT_FALSE(ParseTokenizerJson(text).ok()) << text.substr(0, 40);
  }
}

TEST(TokenizerJsonTest, DeeplyNestedSequencesAreRefused) {
  std::string nested = R"({"type": "NFC"})";
  for (int i = 0; i < 500; ++i) {
    nested = R"({"type": "Sequence", "normalizers": [)" + nested + "]}";
  }
  const auto tokenizer = ParseTokenizerJson(R"({"normalizer": )" + nested + "}");
  EXPECT_THAT(tokenizer.status().message(), HasSubstr("too deeply"));
}

}  // namespace
}  // namespace runahead
