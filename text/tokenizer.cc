#include "text/tokenizer.h"

#include <filesystem>
#include <fstream>
#include <iterator>

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

}  // namespace

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& directory) {
  const std::filesystem::path json_path = std::filesystem::path(directory) / "tokenizer.json";
  if (const auto json = ReadFile(json_path)) return Named(json_path, ParseTokenizerJson(*json));
  return Status(StatusCode::kNotFound,
                directory + " holds neither tokenizer.json nor tokenizer.model");
}

}  // namespace runahead
