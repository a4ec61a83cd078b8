// Builds safetensors files, good and bad, in a temporary folder. One thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "core/dtype.h"
#include "model/tensor_names.h"

namespace runahead {

inline std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  std::string file(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

// A folder of one test, removed with it; one test may have several of different suffixes.
class TestFolder {
 public:
  explicit TestFolder(const std::string& suffix = "") {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(test->test_suite_name()) + "_" + test->name() + suffix;
    for (char& c : name) c = c == '/' ? '_' : c;
    path_ = testing::TempDir() + "/" + name;
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << bytes;
  }

 private:
  std::string path_;
};

// A BF16 checkpoint of these tensors; value(tensor, i) is element i of one.
template <typename Value>
void WriteCheckpoint(const TestFolder& folder, const std::vector<NamedShape>& tensors,
                     const Value& value) {
  std::string header;
  std::string data;
  for (const NamedShape& tensor : tensors) {
    int64_t elements = 1;
    for (const int64_t d : tensor.shape) elements *= d;
    const size_t begin = data.size();
    data.resize(begin + static_cast<size_t>(elements) * 2);
    for (int64_t i = 0; i < elements; ++i) {
      const uint16_t bits = ToBFloat16(value(tensor, i)).bits;
      std::memcpy(data.data() + begin + 2 * i, &bits, 2);
    }
    header += (header.empty() ? "{\"" : ",\"") + tensor.name + R"(":{"dtype":"BF16","shape":)" +
              ShapeName(tensor.shape) + ",\"data_offsets\":[" + std::to_string(begin) + "," +
              std::to_string(data.size()) + "]}";
  }
  folder.Write("model.safetensors", SafetensorsBytes(header + "}", data));
}

}  // namespace runahead
