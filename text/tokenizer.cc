#include "text/tokenizer.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "nlohmann/json.hpp"

#include "text/sentencepiece.h"

namespace runahead {
namespace {

std::optional<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Prefixes an error with the file it came from.
Result<std::unique_ptr<Tokenizer>> Named(const std::filesystem::path& path,
                                         Result<std::unique_ptr<Tokenizer>> result) {
  if (result.ok()) return result;
  return Status(result.status().code(), path.string() + ": " + result.status().message());
}

// A tokenizer.model does not say whether a text starts with BOS; the file beside it may.
SentencePieceOptions ReadOptions(const std::filesystem::path& directory) {
  SentencePieceOptions options;
  const auto text = ReadFile(directory / "tokenizer_config.json");
  if (!text) return options;
  const auto config = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto read = [&config](const char* key, bool* value) {
    if (!config.is_object()) return;
    const auto it = config.find(key);
    if (it != config.end() && it->is_boolean()) *value = it->get<bool>();
  };
  read("add_bos_token", &options.add_bos);
  read("add_eos_token", &options.add_eos);
  return options;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& directory) {
  const std::filesystem::path json_path = std::filesystem::path(directory) / "tokenizer.json";
  if (const auto json = ReadFile(json_path)) return Named(json_path, ParseTokenizerJson(*json));
  const std::filesystem::path model_path = std::filesystem::path(directory) / "tokenizer.model";
  if (const auto model = ReadFile(model_path)) {
    return Named(model_path, MakeSentencePieceTokenizer(*model, ReadOptions(directory)));
  }
  return Status(StatusCode::kNotFound,
                directory + " holds neither tokenizer.json nor tokenizer.model");
}

}  // namespace runahead
