// Reads the goldens that tools/golden/tokenizers.py writes. Stateless.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/source_dir.h"
#include "text/tokenizer.h"

namespace runahead {

inline std::string ReadGoldenFile(const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::path(SourceDir()) / "tests/golden/tokenizers" / name;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline nlohmann::json ReadGolden(const std::string& name) {
  return nlohmann::json::parse(ReadGoldenFile(name));
}

// The text of a case: "text", or the bytes of "hex" where it is not valid UTF-8.
inline std::string CaseText(const nlohmann::json& one) {
  if (one.contains("text")) return one["text"].get<std::string>();
  const auto hex = one["hex"].get<std::string>();
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace runahead
