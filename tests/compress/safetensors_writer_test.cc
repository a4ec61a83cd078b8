#include "compress/safetensors_writer.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "model/safetensors.h"
#include "tests/model/safetensors_file.h"

namespace runahead {
namespace {

using testing::HasSubstr;

class SafetensorsWriterTest : public testing::Test {
 protected:
  std::string Path() const { return folder_.path() + "/model.safetensors"; }
  TestFolder folder_;
};

TEST_F(SafetensorsWriterTest, WhatIsWrittenIsRead) {
  const std::string large(3 << 20, 'x');  // more than the buffer
  auto writer = SafetensorsWriter::Create(
      Path(),
      {{"b", "I8", {2, 3}, 6}, {"a", "U8", {int64_t{3} << 20}, 3 << 20}, {"c", "I64", {0}, 0}});
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  EXPECT_TRUE((*writer)->Append("ab").ok());
  EXPECT_TRUE((*writer)->Append("cdef").ok());
  EXPECT_TRUE((*writer)->Append(large).ok());
  EXPECT_TRUE((*writer)->Finish().ok());
  const auto checkpoint = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ((*checkpoint)->Names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ((*checkpoint)->Data("b"), "abcdef");
  EXPECT_EQ((*checkpoint)->Data("a"), large);
  EXPECT_EQ((*checkpoint)->Find("b")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*checkpoint)->Find("b")->dtype, "I8");
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*checkpoint)->Data("b").data()) % 8, 0u);
}

TEST_F(SafetensorsWriterTest, AFileThatIsNotFinishedIsRemoved) {
  {
    const auto writer = SafetensorsWriter::Create(Path(), {{"a", "I8", {4}, 4}}).value();
    EXPECT_TRUE(std::filesystem::exists(Path()));
    EXPECT_TRUE(writer->Append("ab").ok());
  }
  EXPECT_FALSE(std::filesystem::exists(Path()));
}

TEST_F(SafetensorsWriterTest, AFileThatExistsIsLeftAlone) {
  folder_.Write("model.safetensors", "mine");
  const auto writer = SafetensorsWriter::Create(Path(), {});
  EXPECT_THAT(writer.status().message(), HasSubstr("File exists"));
  EXPECT_EQ(std::filesystem::file_size(Path()), 4u);
}

TEST_F(SafetensorsWriterTest, WhatCannotBeWrittenIsAnError) {
  const std::string link = folder_.path() + "/nowhere/x.safetensors";
  EXPECT_THAT(SafetensorsWriter::Create(link, {}).status().message(), HasSubstr("cannot write"));
}

}  // namespace
}  // namespace runahead
