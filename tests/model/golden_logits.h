// The logits Hugging Face transformers gave for a tiny checkpoint (tools/golden/models.py).
// Immutable.
#pragma once

#include <bit>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace runahead {

struct GoldenPrompt {
  std::vector<int32_t> ids;
  std::vector<int> rows;                   // positions whose logits are stored
  std::vector<std::vector<float>> logits;  // parallel to rows
};

inline std::vector<float> FloatsOfHex(const std::string& hex) {
  std::vector<float> floats;
  for (size_t at = 0; at + 8 <= hex.size(); at += 8) {
    uint32_t bits = 0;
    for (size_t byte = 0; byte < 4; ++byte) {
      uint32_t value = 0;
      const char* begin = hex.data() + at + 2 * byte;
      std::from_chars(begin, begin + 2, value, 16);
      bits |= value << (8 * byte);
    }
    floats.push_back(std::bit_cast<float>(bits));
  }
  return floats;
}

struct Golden {
  double bf16_error = 0;  // how far the reference moves when it rounds what a BF16 run rounds
  std::vector<GoldenPrompt> prompts = {};
};

inline Golden ReadGolden(const std::string& directory) {
  const auto json = nlohmann::json::parse(std::ifstream(directory + "/golden.json"));
  Golden golden = {.bf16_error = json["bf16_error"]};
  for (const auto& entry : json["prompts"]) {
    GoldenPrompt prompt = {.ids = entry["ids"], .rows = entry["rows"], .logits = {}};
    for (const std::string hex : entry["logits"]) prompt.logits.push_back(FloatsOfHex(hex));
    golden.prompts.push_back(std::move(prompt));
  }
  return golden;
}

}  // namespace runahead
