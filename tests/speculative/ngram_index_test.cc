#include "speculative/ngram_index.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

// By comparing every earlier end with the text's.
NgramMatch NaiveLongest(std::span<const int32_t> text) {
  NgramMatch best;
  for (int end = 1; end < static_cast<int>(text.size()); ++end) {
    int length = 0;
    while (length < end && text[static_cast<size_t>(end - 1 - length)] ==
                               text[text.size() - 1 - static_cast<size_t>(length)]) {
      ++length;
    }
    if (length > 0 && length >= best.length) best = {.length = length, .next = end};
  }
  return best;
}

void ExpectLikeNaive(std::span<const int32_t> text) {
  NgramIndex index;
  for (size_t size = 1; size <= text.size(); ++size) {
    index.Extend(text.first(size), 1);
    const NgramMatch naive = NaiveLongest(text.first(size));
    ASSERT_EQ(index.Longest().length, naive.length) << "at " << size;
    if (naive.length > 0) {
      ASSERT_EQ(index.Longest().next, naive.next) << "at " << size;
    }
  }
}

TEST(NgramIndex, FindsWhatFollowed) {
  const std::vector<int32_t> text = {1, 2, 3, 9, 1, 2};
  NgramIndex index;
  index.Extend(text, 100);
  EXPECT_EQ(index.num_indexed(), 6);
  EXPECT_EQ(index.Longest().length, 2);
  EXPECT_EQ(index.Longest().next, 2);
}

TEST(NgramIndex, FindsNothingInTextWithoutRepeats) {
  NgramIndex index;
  index.Extend(std::vector<int32_t>{1, 2, 3}, 100);
  EXPECT_EQ(index.Longest().length, 0);
}

// Lengths are exact for every text; `next` is the latest occurrence's as long as no suffix chain is
// deeper than kMaxLinks, which random texts of any alphabet are far from.
TEST(NgramIndex, AgreesWithComparingEverything) {
  std::mt19937 random(7);
  for (const int alphabet : {2, 3, 5, 20, 100}) {
    for (int round = 0; round < 8; ++round) {
      std::uniform_int_distribution<int32_t> token(0, alphabet - 1);
      std::vector<int32_t> text(160);
      for (int32_t& t : text) t = token(random);
      // Repeats of whole passages, as edits of a prompt have them.
      std::copy_n(text.begin() + 10, 50, text.begin() + 90);
      ExpectLikeNaive(text);
    }
  }
}

TEST(NgramIndex, AgreesOnPeriodicTextUpToItsDepth) {
  for (const int period : {1, 2, 3, 7}) {
    std::vector<int32_t> text;
    for (int i = 0; i < NgramIndex::kMaxLinks; ++i) text.push_back(i % period);
    ExpectLikeNaive(text);
  }
}

// A text more deeply periodic than kMaxLinks still gets true occurrences.
TEST(NgramIndex, NamesATrueOccurrenceHoweverDeep) {
  std::vector<int32_t> text;
  NgramIndex index;
  std::mt19937 random(3);
  for (int i = 0; i < 1200; ++i) {
    text.push_back(i % 97 == 0 ? static_cast<int32_t>(random() % 2) : 0);
    index.Extend(text, 1);
    const NgramMatch match = index.Longest();
    ASSERT_EQ(match.length, NaiveLongest(text).length);
    ASSERT_TRUE(std::equal(text.end() - match.length, text.end(),
                           text.begin() + match.next - match.length));
  }
}

TEST(NgramIndex, TakesInNoMoreThanAllowed) {
  const std::vector<int32_t> text(100, 1);
  NgramIndex index;
  index.Extend(text, 30);
  EXPECT_EQ(index.num_indexed(), 30);
  index.Extend(text, 0);
  EXPECT_EQ(index.num_indexed(), 30);
  index.Extend(text, 1000);
  EXPECT_EQ(index.num_indexed(), 100);
}

// At most two states and three transitions a token, whatever the text.
TEST(NgramIndex, HoldsMemoryProportionalToTheText) {
  constexpr int kTokens = 1 << 16;
  std::mt19937 random(5);
  for (const int alphabet : {2, 50, 30000}) {
    std::vector<int32_t> text(kTokens);
    for (int32_t& t : text) t = static_cast<int32_t>(random() % static_cast<unsigned>(alphabet));
    NgramIndex index;
    index.Extend(text, kTokens);
    EXPECT_LT(index.bytes(), int64_t{kTokens} * 160) << alphabet;  // capacities double
  }
}

}  // namespace
}  // namespace runahead
