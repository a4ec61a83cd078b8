#include "model/safetensors.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/safetensors_file.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const char kTwoTensors[] = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("b":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]}})";

std::string OpenError(const std::string& directory) {
  const auto checkpoint = Checkpoint::Open(directory);
  return checkpoint.ok() ? "no error" : checkpoint.status().message();
}

std::string ParseError(const std::string& file) {
  const auto layout = ParseSafetensors(file);
  return layout.ok() ? "no error" : layout.status().message();
}

TEST(SafetensorsTest, HeaderLengthIsCheckedBeforeItIsUsed) {
  EXPECT_THAT(ParseError(""), HasSubstr("0 bytes cannot hold"));
  EXPECT_THAT(ParseError("\x01"), HasSubstr("1 bytes cannot hold"));
  EXPECT_THAT(ParseError(std::string(8, '\xff')), HasSubstr("18446744073709551615 bytes"));
  EXPECT_THAT(ParseError(std::string("\x0a\0\0\0\0\0\0\0{}", 10)), HasSubstr("truncated"));
  EXPECT_EQ(ParseError(SafetensorsBytes("{}", "")), "no error");
  const auto layout = ParseSafetensors(SafetensorsBytes("{}  ", ""));
  EXPECT_EQ(layout->data_offset, 12);
}

TEST(SafetensorsTest, ReadsTensorsWhateverTheirAlignment) {
  TestFolder folder;
  for (const std::string padding : {"", " ", "  ", "   "}) {
    const std::string data("\0\0\x80\x3f\0\0\0\xc0\x40\x40\x80\x3f", 12);  // 1, -2; 3, 1
    folder.Write("model.safetensors", SafetensorsBytes(kTwoTensors + padding, data));
    const auto checkpoint = Checkpoint::Open(folder.path()).value();
    EXPECT_THAT(checkpoint->Names(), ElementsAre("a", "b"));
    const HostTensor a = checkpoint->Read("a", {2}).value();
    EXPECT_EQ(a.view.dtype, DType::kF32);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a.view.data) % 4, 0u);
    EXPECT_EQ(static_cast<float*>(a.view.data)[0], 1);
    EXPECT_EQ(static_cast<float*>(a.view.data)[1], -2);
    const HostTensor b = checkpoint->Read("b", {1, 2}).value();
    EXPECT_EQ(b.view.rank, 2);
    EXPECT_EQ(ToFloat(b.view.Row<BFloat16>(0)[0]), 3);
  }
}

TEST(SafetensorsTest, ReadNamesWhatIsWrong) {
  TestFolder folder;
  folder.Write(
      "model.safetensors",
      SafetensorsBytes(R"({"i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", "1234"));
  const auto checkpoint = Checkpoint::Open(folder.path()).value();
  EXPECT_EQ(checkpoint->Find("x"), nullptr);
  ASSERT_NE(checkpoint->Find("i"), nullptr);
  EXPECT_THAT(checkpoint->Read("x", {1}).status().message(), HasSubstr("has no tensor x"));
  EXPECT_THAT(checkpoint->Read("i", {1}).status().message(), HasSubstr("elements of type I32"));
  EXPECT_THAT(checkpoint->Read("i", {2, 1}).status().message(),
              HasSubstr("tensor i has shape [1], the configuration asks for [2, 1]"));
}

TEST(SafetensorsTest, CorruptFilesAreNamedWithTheirPath) {
  TestFolder folder;
  EXPECT_THAT(OpenError(folder.path()), HasSubstr("neither model.safetensors nor"));
  folder.Write("model.safetensors", "");
  EXPECT_THAT(OpenError(folder.path()), HasSubstr("model.safetensors: not a safetensors file"));
  const std::string whole = SafetensorsBytes(kTwoTensors, std::string(12, 'x'));
  for (size_t size = 0; size < whole.size(); ++size) {
    folder.Write("model.safetensors", whole.substr(0, size));
    EXPECT_FALSE(Checkpoint::Open(folder.path()).ok()) << size << " of " << whole.size();
  }
  folder.Write("model.safetensors", whole + "y");
  EXPECT_THAT(OpenError(folder.path()), HasSubstr("1 bytes follow the last tensor"));
  std::filesystem::remove(folder.path() + "/model.safetensors");
  std::filesystem::create_directory(folder.path() + "/model.safetensors");
  EXPECT_THAT(OpenError(folder.path()), HasSubstr("not a regular file"));
}

class ShardsTest : public testing::Test {
 protected:
  void WriteIndex(const std::string& json) { folder_.Write("model.safetensors.index.json", json); }
  TestFolder folder_;
};

TEST_F(ShardsTest, AreReadThroughTheirIndex) {
  folder_.Write("one.safetensors", SafetensorsBytes(kTwoTensors, std::string(12, 'x')));
  folder_.Write(
      "two.safetensors",
      SafetensorsBytes(R"({"c":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", "yz"));
  WriteIndex(R"({"metadata":{"total_size":14},"weight_map":{"a":"one.safetensors",)"
             R"("c":"two.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(folder_.path()).value();
  EXPECT_THAT(checkpoint->Names(), ElementsAre("a", "c"));  // b is in a shard, but not in the map
  EXPECT_EQ(*static_cast<char*>(checkpoint->Read("c", {1}).value().view.data), 'y');
}

TEST_F(ShardsTest, MissingShardIsNamed) {
  WriteIndex(R"({"weight_map":{"a":"gone.safetensors"}})");
  EXPECT_THAT(OpenError(folder_.path()), HasSubstr("gone.safetensors: No such file"));
  EXPECT_EQ(Checkpoint::Open(folder_.path()).status().code(), StatusCode::kNotFound);
}

TEST_F(ShardsTest, BadIndexIsNamed) {
  for (const char* json : {"", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":7"}) {
    WriteIndex(json);
    EXPECT_THAT(OpenError(folder_.path()), HasSubstr("weight_map")) << json;
  }
  WriteIndex(R"({"weight_map":{"a":1}})");
  EXPECT_THAT(OpenError(folder_.path()), HasSubstr("names no file for a"));
  for (const char* shard : {"../x.safetensors", "/etc/passwd", "", "..", "a/b"}) {
    WriteIndex(std::string(R"({"weight_map":{"a":")") + shard + "\"}}");
    EXPECT_THAT(OpenError(folder_.path()), HasSubstr("not a plain file name")) << shard;
  }
  folder_.Write("one.safetensors", SafetensorsBytes("{}", ""));
  WriteIndex(R"({"weight_map":{"a":"one.safetensors"}})");
  EXPECT_THAT(OpenError(folder_.path()), HasSubstr("shard one.safetensors holds no tensor a"));
}

TEST_F(ShardsTest, CorruptShardIsNamed) {
  folder_.Write("one.safetensors", "short");
  WriteIndex(R"({"weight_map":{"a":"one.safetensors"}})");
  EXPECT_THAT(OpenError(folder_.path()), HasSubstr("one.safetensors: not a safetensors file"));
}

}  // namespace
}  // namespace runahead
