#include "model/safetensors_header.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

std::string ErrorOf(const std::string& header, int64_t data_bytes) {
  const auto parsed = ParseSafetensorsHeader(header, data_bytes);
  return parsed.ok() ? "no error" : parsed.status().message();
}

TEST(SafetensorsHeaderTest, EntriesComeInFileOrder) {
  const auto entries = ParseSafetensorsHeader(
      "{" + Entry("b", "F32", "[2,3]", "[4,28]") + ",\"__metadata__\":{\"format\":\"pt\"}," +
          Entry("a", "BF16", "[2]", "[0,4]") + "," + Entry("s", "F16", "[]", "[28,30]") + "," +
          Entry("empty", "F32", "[0,7]", "[30,30]") + "}   ",
      30);
  ASSERT_TRUE(entries.ok()) << entries.status().message();
  ASSERT_EQ(entries->size(), 4u);
  EXPECT_EQ((*entries)[0].name, "a");
  EXPECT_EQ((*entries)[0].dtype, "BF16");
  EXPECT_THAT((*entries)[1].shape, ElementsAre(2, 3));
  EXPECT_EQ((*entries)[1].begin, 4);
  EXPECT_EQ((*entries)[1].num_bytes(), 24);
  EXPECT_EQ(ShapeName((*entries)[1].shape), "[2, 3]");
  EXPECT_EQ(ShapeName((*entries)[2].shape), "[]");
}

TEST(SafetensorsHeaderTest, NoTensorIsNoError) {
  const auto entries = ParseSafetensorsHeader("{}", 0);
  ASSERT_TRUE(entries.ok());
  EXPECT_TRUE(entries->empty());
}

struct BadHeader {
  const char* name;
  std::string header;
  int64_t data_bytes;
  const char* message;
};

class BadHeaderTest : public testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsNamed) {
  EXPECT_THAT(ErrorOf(GetParam().header, GetParam().data_bytes), HasSubstr(GetParam().message));
}

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

INSTANTIATE_TEST_SUITE_P(
    All, BadHeaderTest,
    testing::Values(
        BadHeader{"empty", "", 0, "not valid JSON"},
        BadHeader{"cut", "{\"a\":{\"dtype\":\"F3", 0, "not valid JSON"},
        BadHeader{"utf8", "{\"\xff\":{}}", 0, "not valid JSON"},
        BadHeader{"list", "[]", 0, "a list where none may be"},
        BadHeader{"number", "7", 0, "a number where none may be"},
        BadHeader{"text", "\"x\"", 0, "text where none may be"},
        BadHeader{"trailing", "{} {}", 0, "not valid JSON"},
        BadHeader{"deep", "{\"a\":{\"shape\":" + Nested(100000) + "}}", 0, "a list where none"},
        BadHeader{"object_in_entry", "{\"a\":{\"shape\":{}}}", 0, "an object inside"},
        BadHeader{
            "twice",
            "{" + Entry("a", "U8", "[1]", "[0,1]") + "," + Entry("a", "U8", "[1]", "[1,2]") + "}",
            2, "the tensor a twice"},
        BadHeader{"field_twice", R"({"a":{"dtype":"U8","dtype":"F32","shape":[1]}})", 1,
                  "the key dtype twice"},
        BadHeader{"unknown_field", R"({"a":{"stride":[1]}})", 1, "unknown key \"stride\""},
        BadHeader{"no_shape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, "without dtype"},
        BadHeader{"unknown_type", "{" + Entry("a", "F4", "[1]", "[0,1]") + "}", 1,
                  "unknown element type \"F4\""},
        BadHeader{"one_offset", "{" + Entry("a", "U8", "[1]", "[0]") + "}", 1, "two numbers"},
        BadHeader{"negative", "{" + Entry("a", "U8", "[1]", "[-1,0]") + "}", 1, "negative"},
        BadHeader{"fraction", "{" + Entry("a", "U8", "[1.0]", "[0,1]") + "}", 1, "no size"},
        BadHeader{"huge", "{" + Entry("a", "U8", "[18446744073709551615]", "[0,1]") + "}", 1,
                  "too large"},
        BadHeader{"overflow", "{" + Entry("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}", 0,
                  "larger than any file"},
        BadHeader{"backwards", "{" + Entry("a", "U8", "[0]", "[1,0]") + "}", 1, "ends before"},
        BadHeader{"wrong_size", "{" + Entry("a", "F32", "[2]", "[0,4]") + "}", 4,
                  "needs 8 bytes, its data_offsets give 4"},
        BadHeader{"truncated", "{" + Entry("a", "F32", "[2]", "[0,8]") + "}", 7, "truncated"},
        BadHeader{
            "overlap",
            "{" + Entry("a", "U8", "[4]", "[0,4]") + "," + Entry("b", "U8", "[4]", "[2,6]") + "}",
            6, "tensors a and b overlap"},
        BadHeader{
            "hole",
            "{" + Entry("a", "U8", "[2]", "[0,2]") + "," + Entry("b", "U8", "[2]", "[3,5]") + "}",
            5, "before b"},
        BadHeader{"tail", "{" + Entry("a", "U8", "[2]", "[0,2]") + "}", 5,
                  "3 bytes follow the last tensor"},
        BadHeader{"many_dims", "{" + Entry("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1,
                  "more than 8 values in shape"}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace runahead
