#include "text/bpe.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

Vocabulary MakeVocabulary(const std::vector<std::string>& tokens) {
  std::vector<std::pair<std::string, int64_t>> pairs;
  for (const std::string& token : tokens) {
    pairs.emplace_back(token, static_cast<int64_t>(pairs.size()));
  }
  return Vocabulary::Build(std::move(pairs)).value();
}

// Merges in the order given, named by their halves.
Bpe MakeBpe(const std::vector<std::string>& tokens,
            const std::vector<std::pair<std::string, std::string>>& merges,
            BpeOptions options = {}) {
  Vocabulary vocabulary = MakeVocabulary(tokens);
  std::vector<BpeMerge> rules;
  for (const auto& [left, right] : merges) {
    rules.push_back({vocabulary.Find(left), vocabulary.Find(right), vocabulary.Find(left + right),
                     static_cast<uint32_t>(rules.size())});
  }
  return Bpe(std::move(vocabulary), rules, options);
}

Ids Encode(const Bpe& bpe, std::string_view word) {
  Ids ids;
  const auto scratch = Bpe::MakeScratch();
  bpe.Encode(word, scratch.get(), &ids);
  return ids;
}

TEST(VocabularyTest, RefusesBadIdsAndKeepsHoles) {
  const auto build = [](std::vector<std::pair<std::string, int64_t>> tokens) {
    return Vocabulary::Build(std::move(tokens));
  };
  EXPECT_THAT(build({{"a", -1}}).status().message(), HasSubstr("'a' has id -1"));
  EXPECT_FALSE(build({{"a", Vocabulary::kMaxId + 1}}).ok());
  EXPECT_FALSE(build({{"a", INT64_MAX}}).ok());
  EXPECT_THAT(build({{"a", 3}, {"b", 3}}).status().message(), HasSubstr("id 3 names both"));
  EXPECT_THAT(build({{"a", 3}, {"a", 4}}).status().message(), HasSubstr("'a' has two ids"));
  const auto vocabulary = build({{"a", 5}, {"", 2}});
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->size(), 6);
  EXPECT_EQ(vocabulary->Find("a"), 5);
  EXPECT_EQ(vocabulary->Find("b"), -1);
  EXPECT_TRUE(vocabulary->Has(2));
  for (const int32_t id : {-1, 0, 4, 6}) EXPECT_FALSE(vocabulary->Has(id)) << id;
}

TEST(BpeTest, MergesByRankThenFromTheLeft) {
  const Bpe bpe =
      MakeBpe({"a", "b", "c", "ab", "bc", "abc"}, {{"b", "c"}, {"a", "b"}, {"a", "bc"}});
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre(5));  // bc first, then a+bc
  EXPECT_THAT(Encode(bpe, "ab"), ElementsAre(3));
  EXPECT_THAT(Encode(bpe, "abab"), ElementsAre(3, 3));
  EXPECT_THAT(Encode(bpe, "cab"), ElementsAre(2, 3));
  EXPECT_THAT(Encode(bpe, ""), ElementsAre());
  const Bpe runs = MakeBpe({"a", "aa"}, {{"a", "a"}});
  EXPECT_THAT(Encode(runs, "aaa"), ElementsAre(1, 0));  // the left pair wins
}

TEST(BpeTest, UnknownCharacters) {
  const std::vector<std::string> tokens = {"<unk>", "a"};
  EXPECT_THAT(Encode(MakeBpe(tokens, {}), "xyaz"), ElementsAre(1));  // dropped
  EXPECT_THAT(Encode(MakeBpe(tokens, {}, {.unknown_id = 0}), "xyaz"), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(Encode(MakeBpe(tokens, {}, {.unknown_id = 0, .fuse_unknown = true}), "xyaz"),
              ElementsAre(0, 1, 0));
}

TEST(BpeTest, ByteFallbackNeedsEveryByteOfTheCharacter) {
  const BpeOptions options = {.unknown_id = 0, .byte_fallback = true};
  const Bpe bpe = MakeBpe({"<unk>", "a", "<0xC3>", "<0xA9>"}, {}, options);
  EXPECT_THAT(Encode(bpe, "a\xC3\xA9"), ElementsAre(1, 2, 3));
  EXPECT_THAT(Encode(bpe, "a\xC3\xA8"), ElementsAre(1, 0));
  // An unknown before them comes out after them, as in Hugging Face's model.
  EXPECT_THAT(Encode(bpe, "z\xC3\xA9"), ElementsAre(2, 3, 0));
}

TEST(BpeTest, IgnoreMergesTakesWholeTokens) {
  const std::vector<std::string> tokens = {"a", "b", "ab", "ba"};
  EXPECT_THAT(Encode(MakeBpe(tokens, {{"a", "b"}}), "ba"), ElementsAre(1, 0));
  EXPECT_THAT(Encode(MakeBpe(tokens, {{"a", "b"}}, {.ignore_merges = true}), "ba"), ElementsAre(3));
}

// Merging as the definition has it: again and again the best pair of the whole word, leftmost
// first.
Ids EncodeSlowly(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges,
                 std::string_view word) {
  Ids ids;
  for (const char c : word) ids.push_back(vocabulary.Find(std::string(1, c)));
  while (true) {
    const BpeMerge* best = nullptr;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const BpeMerge& merge : merges) {
        if (merge.left == ids[i] && merge.right == ids[i + 1] &&
            (best == nullptr || merge.rank < best->rank)) {
          best = &merge;
          at = i;
        }
      }
    }
    if (best == nullptr) return ids;
    ids[at] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(BpeTest, EqualsTheDefinitionOnRandomRules) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<BpeMerge> merges;
    while (tokens.size() < 20) {
      const size_t left = random() % tokens.size();
      const size_t right = random() % tokens.size();
      const std::string joined = tokens[left] + tokens[right];
      if (std::ranges::find(tokens, joined) != tokens.end()) continue;
      merges.push_back({static_cast<int32_t>(left), static_cast<int32_t>(right),
                        static_cast<int32_t>(tokens.size()), static_cast<uint32_t>(random() % 8)});
      tokens.push_back(joined);
    }
    const Bpe bpe(MakeVocabulary(tokens), merges, {});
    std::string word;
    for (int i = 0; i < 40; ++i) word.push_back(static_cast<char>('a' + random() % 3));
    EXPECT_EQ(Encode(bpe, word), EncodeSlowly(bpe.vocabulary(), merges, word)) << word;
  }
}

}  // namespace
}  // namespace runahead
