// Equality with Hugging Face's tokenizers on published vocabularies, and the public interface.
#include "text/tokenizer.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "gtest/gtest.h"

#include "tests/published_data.h"
#include "tests/source_dir.h"
#include "tests/text/token_golden.h"

namespace runahead {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
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
  const auto data = PublishedData();
  if (!data) GTEST_SKIP() << "RUNAHEAD_TEST_DATA is not set";
  const std::filesystem::path directory = *data / "tokenizers" / name;
  const auto tokenizer = LoadTokenizer(directory);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::vector<Case> cases = ReadCases(directory);
  ASSERT_GE(cases.size(), 40u);
  for (const Case& one : cases) {
    EXPECT_EQ((*tokenizer)->Encode(one.text, {.add_special_tokens = false}), one.ids)
        << "text: '" << one.text << "'";
    EXPECT_EQ((*tokenizer)->Decode(one.ids, false), one.text);
  }
}

TEST(TokenizerTest, Gpt2EqualsHuggingFace) { ExpectEqualToHuggingFace("gpt2"); }

TEST(TokenizerTest, Llama2EqualsHuggingFace) { ExpectEqualToHuggingFace("llama2"); }

// A directory of its own for one test.
class CheckpointDirectory {
 public:
  explicit CheckpointDirectory(const std::string& name)
      : path_(std::filesystem::path(testing::TempDir()) / name) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~CheckpointDirectory() { std::filesystem::remove_all(path_); }

  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(TokenizerTest, TokenizerConfigDecidesOnTheFrameOfASentencePieceModel) {
  const CheckpointDirectory directory("tokenizer_test_frame");
  directory.Write("tokenizer.model", ReadGoldenFile("identity.model"));
  const auto first_and_last = [&] {
    const auto ids = LoadTokenizer(directory.path()).value()->Encode("Hello", {});
    return std::pair(ids.front(), ids.back());
  };
  EXPECT_EQ(first_and_last().first, 1);
  EXPECT_NE(first_and_last().second, 2);
  directory.Write("tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_NE(first_and_last().first, 1);
  EXPECT_EQ(first_and_last().second, 2);
  directory.Write("tokenizer_config.json", "[1]");  // of no use, so Llama's defaults
  EXPECT_EQ(first_and_last().first, 1);
}

TEST(TokenizerTest, TokenizerJsonGoesBeforeTheModelAndErrorsNameTheFile) {
  const CheckpointDirectory directory("tokenizer_test_both");
  directory.Write("tokenizer.model", ReadGoldenFile("identity.model"));
  directory.Write("tokenizer.json", "{");
  const auto tokenizer = LoadTokenizer(directory.path());
  EXPECT_EQ(tokenizer.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(tokenizer.status().message().find("tokenizer.json"), std::string::npos);
}

TEST(TokenizerTest, DemoModelRoundTrips) {
  const auto tokenizer = LoadTokenizer(SourceDir() + "/models/demo/target");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::string text = "What is 12 + 30?\n\n  Żółć 漢字 🦊 e\xCC\x81 isn't <|user|>";
  for (const bool parse_special : {true, false}) {
    const auto ids = (*tokenizer)->Encode(text, {.parse_special = parse_special});
    EXPECT_EQ((*tokenizer)->Decode(ids, false), text);
    const auto user = (*tokenizer)->TokenToId("<|user|>");
    EXPECT_EQ(std::ranges::count(ids, user.value()), parse_special ? 1 : 0);
  }
}

TEST(TokenizerTest, ThreadsShareOneTokenizer) {
  const auto tokenizer = ParseTokenizerJson(ReadGoldenFile("llama3.json"));
  ASSERT_TRUE(tokenizer.ok());
  const std::string text = "The quick brown fox doesn't jump 123456 🎉 <|eot_id|>\n";
  const auto expected = (*tokenizer)->Encode(text, {});
  std::atomic<int> num_equal = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const auto ids = (*tokenizer)->Encode(text, {});
        if (ids == expected && (*tokenizer)->Decode(ids, true).size() > 40) ++num_equal;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_equal, 4 * 50);
}

TEST(TokenizerTest, DirectoryWithoutTokenizerIsNotFound) {
  const auto tokenizer = LoadTokenizer(testing::TempDir() + "/holds_no_tokenizer");
  EXPECT_EQ(tokenizer.status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace runahead
