#include "model/token_counts.h"

#include <map>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(TokenCountsTest, CountsEachTokenOnceInOrderOfAppearance) {
  TokenCounts counts;
  counts.Update(std::vector<int32_t>{5, 3, 5}, std::vector<int32_t>{3, 9, 9});
  ASSERT_EQ(counts.entries().size(), 3u);
  EXPECT_EQ(counts.entries()[0].token, 5);
  EXPECT_TRUE(counts.entries()[0].in_prompt);
  EXPECT_EQ(counts.entries()[0].output_count, 0);
  EXPECT_EQ(counts.entries()[1].output_count, 1);
  EXPECT_TRUE(counts.entries()[1].in_prompt);
  EXPECT_EQ(counts.entries()[2].output_count, 2);
  EXPECT_FALSE(counts.entries()[2].in_prompt);
  EXPECT_EQ(counts.Find(9), 2);
  EXPECT_EQ(counts.Find(4), -1);
}

TEST(TokenCountsTest, GrowingStepByStepEqualsCountingAnew) {
  std::mt19937 random(1);
  const std::vector<int32_t> prompt = {1, 2, 3, 2};
  std::vector<int32_t> output;
  TokenCounts grown;
  for (int step = 0; step < 200; ++step) {
    for (unsigned i = 0; i < random() % 3; ++i) {
      output.push_back(static_cast<int32_t>(random() % 20));
    }
    grown.Update(prompt, output);
    std::map<int32_t, int32_t> expected;
    for (const int32_t token : output) ++expected[token];
    for (const TokenAdjust& entry : grown.entries()) {
      EXPECT_EQ(entry.output_count, expected[entry.token]);
      EXPECT_EQ(entry.in_prompt, entry.token >= 1 && entry.token <= 3);
      EXPECT_EQ(entry.bias, 0);
    }
    for (const int32_t token : prompt) expected.try_emplace(token, 0);
    EXPECT_EQ(grown.entries().size(), expected.size());
  }
  grown.Clear();
  EXPECT_TRUE(grown.entries().empty());
  grown.Update({}, std::vector<int32_t>{4});
  EXPECT_EQ(grown.entries().size(), 1u);
}

TEST(TokenCountsDeathTest, AShrinkingSequenceIsABug) {
  TokenCounts counts;
  counts.Update(std::vector<int32_t>{1}, std::vector<int32_t>{2, 3});
  EXPECT_DEATH(counts.Update(std::vector<int32_t>{1}, std::vector<int32_t>{2}), "only grow");
}

}  // namespace
}  // namespace runahead
