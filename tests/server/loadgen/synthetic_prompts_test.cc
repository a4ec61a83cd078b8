#include "server/loadgen/synthetic_prompts.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

int NumWords(const std::string& text) {
  std::istringstream words(text);
  return static_cast<int>(std::distance(std::istream_iterator<std::string>(words), {}));
}

// A template of seven tokens; a token for each four letters of a word or fewer.
Result<int> CountByFours(const std::string& text) {
  std::istringstream words(text);
  int count = 7;
  for (std::string word; words >> word;) count += static_cast<int>((word.size() + 3) / 4);
  return count;
}

TEST(SyntheticPromptsTest, LengthsAreExactByTheServersCount) {
  int num_calls = 0;
  const TokenCounter counter = [&num_calls](const std::string& text) {
    ++num_calls;
    return CountByFours(text);
  };
  SyntheticPrompts prompts({.min_tokens = 20, .max_tokens = 400, .seed = 3}, counter);
  std::set<int> lengths;
  for (int i = 0; i < 200; ++i) {
    const auto prompt = prompts.Next();
    ASSERT_TRUE(prompt.ok());
    ASSERT_EQ(*CountByFours(prompt->text), prompt->num_tokens);
    ASSERT_EQ(prompt->num_tokens, prompt->wanted_tokens) << prompt->text;
    lengths.insert(prompt->wanted_tokens);
  }
  EXPECT_GT(lengths.size(), 100u);
  EXPECT_GE(*lengths.begin(), 20);
  EXPECT_LE(*lengths.rbegin(), 400);
  EXPECT_LT(num_calls, 200 * 9) << "a question to the server each";
}

TEST(SyntheticPromptsTest, GroupsShareTheirPrefixAndNothingElse) {
  SyntheticPrompts prompts(
      {.min_tokens = 100, .max_tokens = 100, .shared_prefix = 60, .num_groups = 3}, CountByFours);
  std::vector<SyntheticPrompt> made;
  for (int i = 0; i < 9; ++i) made.push_back(*prompts.Next());
  const auto common = [&](int a, int b) {
    const auto [end, ignored] =
        std::ranges::mismatch(made[static_cast<size_t>(a)].text, made[static_cast<size_t>(b)].text);
    const std::string shared(made[static_cast<size_t>(a)].text.begin(), end);
    return *CountByFours(shared);
  };
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(made[static_cast<size_t>(i)].group, i % 3);
    for (int j = 0; j < i; ++j) {
      if (i % 3 == j % 3) {
        EXPECT_GE(common(i, j), 60) << i << " " << j;
        EXPECT_LE(common(i, j), 70) << i << " " << j;  // 128 words: the next one or two may agree
      } else {
        EXPECT_LE(common(i, j), 17) << i << " " << j;
      }
    }
  }
}

TEST(SyntheticPromptsTest, WithoutACounterWordsAreTaken) {
  SyntheticPrompts prompts({.min_tokens = 200, .max_tokens = 200, .shared_prefix = 100}, nullptr);
  const auto prompt = prompts.Next();
  ASSERT_TRUE(prompt.ok());
  EXPECT_EQ(NumWords(prompt->text), 150);
  EXPECT_EQ(prompt->num_tokens, 0);
}

TEST(SyntheticPromptsTest, SeedsDecide) {
  const auto first = [](uint64_t seed) {
    SyntheticPrompts prompts({.seed = seed}, CountByFours);
    return prompts.Next()->text;
  };
  EXPECT_EQ(first(1), first(1));
  EXPECT_NE(first(1), first(2));
}

TEST(SyntheticPromptsTest, WhatCannotBeIsSaid) {
  SyntheticPrompts too_short({.min_tokens = 5, .max_tokens = 5}, CountByFours);
  EXPECT_THAT(too_short.Next().status().message(), testing::HasSubstr("5 tokens is too short"));
  SyntheticPrompts broken(
      {}, [](const std::string&) { return Result<int>(Status(StatusCode::kUnavailable, "gone")); });
  EXPECT_EQ(broken.Next().status().message(), "gone");
}

}  // namespace
}  // namespace runahead
