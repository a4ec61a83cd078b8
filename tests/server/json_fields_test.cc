#include "server/json_fields.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(FieldReaderTest, ReadsWhatIsThereAndNothingElse) {
  const Json json = Json::parse(R"({"b": true, "i": 3, "f": 4.0, "x": 0.5, "s": "t", "n": null,
                                    "o": {}, "ids": [1, 2]})");
  FieldReader fields(json);
  EXPECT_EQ(fields.Bool("b"), true);
  EXPECT_EQ(fields.Int("i", 0, 9), 3);
  EXPECT_EQ(fields.Int("f", 0, 9), 4);
  EXPECT_EQ(fields.Number("x", 0, 1), 0.5);
  EXPECT_EQ(fields.Number("i", 0, 9), 3.0);
  EXPECT_EQ(fields.String("s", 8), "t");
  EXPECT_EQ(fields.String("n", 8), std::nullopt);
  EXPECT_EQ(fields.Bool("absent"), std::nullopt);
  EXPECT_NE(fields.Object("o"), nullptr);
  EXPECT_EQ(fields.TokenIds("ids", 9), (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(fields.status().ok());
}

struct Case {
  const char* json;
  void (*read)(FieldReader&);
};

TEST(FieldReaderTest, WrongTypesAndRangesNameTheField) {
  const Case cases[] = {
      {R"({"a": 1})", [](FieldReader& f) { static_cast<void>(f.Bool("a")); }},
      {R"({"a": "1"})", [](FieldReader& f) { static_cast<void>(f.Int("a", 0, 9)); }},
      {R"({"a": 1.5})", [](FieldReader& f) { static_cast<void>(f.Int("a", 0, 9)); }},
      {R"({"a": 10})", [](FieldReader& f) { static_cast<void>(f.Int("a", 0, 9)); }},
      {R"({"a": 1e30})", [](FieldReader& f) { static_cast<void>(f.Int("a", 0, 9)); }},
      {R"({"a": 18446744073709551615})",
       [](FieldReader& f) { static_cast<void>(f.Integer("a", -9, INT64_MAX)); }},
      {R"({"a": true})", [](FieldReader& f) { static_cast<void>(f.Number("a", 0, 1)); }},
      {R"({"a": 2})", [](FieldReader& f) { static_cast<void>(f.Number("a", 0, 1)); }},
      {R"({"a": [1]})", [](FieldReader& f) { static_cast<void>(f.String("a", 9)); }},
      {R"({"a": "0123456789"})", [](FieldReader& f) { static_cast<void>(f.String("a", 9)); }},
      {R"({"a": []})", [](FieldReader& f) { static_cast<void>(f.Object("a")); }},
      {R"({"a": [1, -1]})", [](FieldReader& f) { f.TokenIds("a", 9); }},
      {R"({"a": [1, 2, 3]})", [](FieldReader& f) { f.TokenIds("a", 2); }},
      {R"({"a": {"b": 1}})", [](FieldReader& f) { f.TokenIds("a", 9); }},
  };
  for (const Case& test : cases) {
    const Json json = Json::parse(test.json);
    FieldReader fields(json, "outer.");
    test.read(fields);
    EXPECT_EQ(fields.status().code(), StatusCode::kInvalidArgument) << test.json;
    EXPECT_EQ(fields.status().param(), "outer.a") << test.json;
  }
}

TEST(FieldReaderTest, TheFirstErrorIsKept) {
  const Json json = Json::parse(R"({"a": 1, "b": 2})");
  FieldReader fields(json);
  static_cast<void>(fields.Bool("b"));
  static_cast<void>(fields.Bool("a"));
  EXPECT_EQ(fields.status().param(), "b");
}

}  // namespace
}  // namespace runahead
