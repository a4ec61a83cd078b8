#include "server/bench_speculate_tasks.h"

#include <numeric>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "speculative/prediction_cursor.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> Iota(int size) {
  std::vector<int32_t> tokens(static_cast<size_t>(size));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(SpeculateTasks, JoinsPiecesToALength) {
  EXPECT_THAT(JoinTokens({{1, 2}, {3}}, 5), ElementsAre(1, 2, 3, 1, 2));
}

TEST(SpeculateTasks, MakesAFewEdits) {
  const std::vector<int32_t> text = Iota(300);
  const std::vector<int32_t> edited = WithEdits(text, 1);
  EXPECT_NE(edited, text);
  EXPECT_EQ(edited, WithEdits(text, 1));
  EXPECT_NE(edited, WithEdits(text, 2));
  // Most of the text is foretold by its edited version.
  PredictionCursor cursor;
  cursor.SetPrediction(edited);
  int num_foretold = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    cursor.Follow(std::span(text).first(i));
    const auto next = cursor.Next(1);
    num_foretold += !next.empty() && next[0] == text[i] ? 1 : 0;
  }
  EXPECT_GT(num_foretold, 250);
  EXPECT_LT(num_foretold, 300);
}

TEST(SpeculateTasks, TrafficSharesHalfOfEachPrompt) {
  const auto prompts = TrafficPrompts({Iota(40), {7, 8, 9}, Iota(100)}, 5);
  ASSERT_EQ(prompts.size(), 5u);
  std::set<std::vector<int32_t>> heads;
  for (const auto& prompt : prompts) {
    EXPECT_EQ(prompt.size(), 128u);
    heads.insert(std::vector(prompt.begin(), prompt.begin() + 64));
  }
  EXPECT_EQ(heads.size(), 1u);
}

TEST(SpeculateTasks, SaysWhichFileIsMissing) {
  const ServedModel model;
  const auto prompts = LoadPrompts("/nowhere/prompts.txt", model);
  ASSERT_FALSE(prompts.ok());
  EXPECT_THAT(prompts.status().message(), ::testing::HasSubstr("/nowhere/prompts.txt"));
}

}  // namespace
}  // namespace runahead
