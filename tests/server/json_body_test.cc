#include "server/json_body.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

std::string ErrorOf(std::string_view text) {
  const Result<Json> json = ParseJsonBody(text);
  EXPECT_FALSE(json.ok()) << text;
  if (json.ok()) return {};
  EXPECT_EQ(json.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(json.status().reason(), "invalid_json");
  return json.status().message();
}

TEST(JsonBodyTest, KeepsMembersInTheirOrder) {
  const Result<Json> json = ParseJsonBody(R"({"b": [1, 2.5, "x", null, true], "a": {"c": -3}})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->dump(), R"({"b":[1,2.5,"x",null,true],"a":{"c":-3}})");
}

TEST(JsonBodyTest, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "{\"a\":}", "nope", "{\"a\": NaN}", "[1,]", "\"\xff\"",
                           "{\"a\": 1e999}", "{\"a\": 1} x", "'a'", "{\"a\": \"\xed\xa0\x80\"}"}) {
    ErrorOf(text);
  }
}

TEST(JsonBodyTest, DepthIsBounded) {
  EXPECT_TRUE(ParseJsonBody(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_NE(ErrorOf(std::string(65, '[') + std::string(65, ']')).find("deep"), std::string::npos);
  ErrorOf(std::string(1'000'000, '['));
}

TEST(JsonBodyTest, TheNumberOfValuesIsBounded) {
  std::string text = "[1";
  for (int i = 0; i < 1'000'000; ++i) text += ",1";
  EXPECT_NE(ErrorOf(text + "]").find("many"), std::string::npos);
}

// ordered_json's own parser searches the object for every new name: this would take minutes.
TEST(JsonBodyTest, ManyNamesInOneObjectAreLinear) {
  std::string text = "{\"x\":0";
  for (int i = 0; i < 200'000; ++i) text += ",\"k" + std::to_string(i) + "\":0";
  const Result<Json> json = ParseJsonBody(text + "}");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->size(), 200'001u);
}

TEST(JsonBodyTest, OfANameGivenTwiceTheLastCountsAndNullIsAbsent) {
  const Result<Json> json = ParseJsonBody(R"({"a": 1, "a": 2, "n": null})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(*FindMember(*json, "a"), 2);
  EXPECT_EQ(FindMember(*json, "n"), nullptr);
  EXPECT_EQ(FindMember(*json, "z"), nullptr);
}

}  // namespace
}  // namespace runahead
