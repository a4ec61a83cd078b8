// Equality with Hugging Face's tokenizers on published vocabularies, and the public interface.
#include "text/tokenizer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "gtest/gtest.h"

namespace runahead {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The directory of published tokenizers, or nothing where this machine has none.
std::optional<std::filesystem::path> PublishedTokenizers() {
  const char* data = std::getenv("RUNAHEAD_TEST_DATA");
  if (data == nullptr) return {};
  return std::filesystem::path(data) / "tokenizers";
}

struct Case {
  std::string text;
  std::vector<int32_t> ids;
};

// cases.inp: texts separated by a line "__ggml_vocab_test__"; cases.out: a line of ids for each.
std::vector<Case> ReadCases(const std::filesystem::path& directory) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string texts = ReadFile(directory / "cases.inp");
  std::istringstream lines(ReadFile(directory / "cases.out"));
  std::vector<Case> cases;
  size_t begin = 0;
  for (std::string line; std::getline(lines, line);) {
    Case one;
    const size_t end = texts.find(separator, begin);
    one.text = texts.substr(begin, end - begin);
    begin = end == std::string::npos ? texts.size() : end + separator.size();
    std::istringstream numbers(line);
    for (int32_t id; numbers >> id;) one.ids.push_back(id);
    cases.push_back(std::move(one));
  }
  return cases;
}

void ExpectEqualToHuggingFace(const std::string& name) {
  const auto published = PublishedTokenizers();
  if (!published) GTEST_SKIP() << "RUNAHEAD_TEST_DATA is not set";
  const auto tokenizer = LoadTokenizer(*published / name);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::vector<Case> cases = ReadCases(*published / name);
  ASSERT_GE(cases.size(), 40u);
  for (const Case& one : cases) {
    EXPECT_EQ((*tokenizer)->Encode(one.text, {.add_special_tokens = false}), one.ids)
        << "text: '" << one.text << "'";
    EXPECT_EQ((*tokenizer)->Decode(one.ids, false), one.text);
  }
}

TEST(TokenizerTest, Gpt2EqualsHuggingFace) { ExpectEqualToHuggingFace("gpt2"); }

TEST(TokenizerTest, Llama2EqualsHuggingFace) { ExpectEqualToHuggingFace("llama2"); }

TEST(TokenizerTest, DirectoryWithoutTokenizerIsNotFound) {
  const auto tokenizer = LoadTokenizer(testing::TempDir() + "/holds_no_tokenizer");
  EXPECT_EQ(tokenizer.status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace runahead
