#include "kvcache/prefix_cache.h"

#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

constexpr int kBlockSize = 4;

std::vector<int32_t> Count(int from, int num_tokens) {
  std::vector<int32_t> tokens(static_cast<size_t>(num_tokens));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

std::vector<int32_t> Join(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  // Computes `tokens` from nothing: takes blocks and publishes the full ones.
  BlockTable Compute(const std::vector<int32_t>& tokens, const std::string& salt = "") {
    BlockTable table;
    const int num_tokens = static_cast<int>(tokens.size());
    EXPECT_TRUE(table.TryGrow(pool_, (num_tokens + kBlockSize - 1) / kBlockSize));
    for (int i = 0; i < num_tokens / kBlockSize; ++i) {
      num_duplicates_ += cache_.Publish(table, i, BlockTokens(tokens, i), salt) ? 1 : 0;
    }
    cache_.CheckIntegrity();
    return table;
  }

  int Hit(const std::vector<int32_t>& tokens, const std::string& salt = "") {
    BlockTable table;
    const int num_blocks = cache_.Lookup(tokens, salt, table);
    EXPECT_EQ(num_blocks, table.num_blocks());
    return num_blocks;
  }

  static std::span<const int32_t> BlockTokens(const std::vector<int32_t>& tokens, int i) {
    return std::span(tokens).subspan(static_cast<size_t>(i * kBlockSize), kBlockSize);
  }

  BlockPool pool_{16, kBlockSize};
  PrefixCache cache_{pool_, true};
  int num_duplicates_ = 0;
};

TEST_F(PrefixCacheTest, FindsFullBlocksAndLeavesATokenToCompute) {
  const BlockTable table = Compute(Count(0, 10));  // two full blocks and a partial one
  EXPECT_EQ(cache_.num_published(), 2);
  EXPECT_EQ(Hit(Count(0, 4)), 0);
  EXPECT_EQ(Hit(Count(0, 5)), 1);
  EXPECT_EQ(Hit(Count(0, 8)), 1);
  EXPECT_EQ(Hit(Count(0, 9)), 2);
  EXPECT_EQ(Hit(Count(0, 16)), 2);
  EXPECT_EQ(Hit(Count(1, 16)), 0);
}

TEST_F(PrefixCacheTest, AHitIsTheVeryBlockAlsoAfterItsOwnerIsGone) {
  BlockTable table = Compute(Count(0, 8));
  const int32_t id = table.ids()[1];
  table.Clear();
  EXPECT_EQ(pool_.num_cached(), 2);
  BlockTable hit;
  ASSERT_EQ(cache_.Lookup(Count(0, 9), "", hit), 2);
  EXPECT_EQ(hit.ids()[1], id);
  EXPECT_EQ(cache_.NumValid(hit, CacheModel::kTarget), 8);
  EXPECT_EQ(cache_.NumValid(hit, CacheModel::kDraft), 0);
}

// The same tokens after different prefixes are different content:
//
//   [0..3] -> [50..53]        [10..13] -> [50..53]
TEST_F(PrefixCacheTest, ABlockIsNamedByAllThatPrecedesIt) {
  const BlockTable table = Compute(Join(Count(0, 4), Count(50, 4)));
  const BlockTable other = Compute(Count(10, 4));
  EXPECT_EQ(Hit(Join(Count(0, 4), Count(50, 5))), 2);
  EXPECT_EQ(Hit(Join(Count(10, 4), Count(50, 5))), 1);
  EXPECT_EQ(Hit(Count(50, 5)), 0);
}

TEST_F(PrefixCacheTest, SaltsDoNotMeet) {
  const BlockTable a = Compute(Count(0, 8), "alice");
  EXPECT_EQ(Hit(Count(0, 9)), 0);
  EXPECT_EQ(Hit(Count(0, 9), "bob"), 0);
  EXPECT_EQ(Hit(Count(0, 9), "alice"), 2);
  const BlockTable b = Compute(Count(0, 8), "bob");
  EXPECT_EQ(num_duplicates_, 0);
  EXPECT_EQ(cache_.num_published(), 4);
}

// Two sequences compute the same prompt side by side. The second to publish takes over the first
// one's blocks, so its own next block hangs under a block that lives as long as itself.
TEST_F(PrefixCacheTest, ADuplicateGivesWayToThePublishedBlock) {
  const BlockTable first = Compute(Count(0, 8));
  const int num_used = pool_.num_used();
  const BlockTable second = Compute(Count(0, 12));
  EXPECT_EQ(num_duplicates_, 2);
  EXPECT_EQ(second.ids()[0], first.ids()[0]);
  EXPECT_EQ(second.ids()[1], first.ids()[1]);
  EXPECT_EQ(pool_.num_used(), num_used + 1);
  EXPECT_EQ(Hit(Count(0, 13)), 3);
}

TEST_F(PrefixCacheTest, ReuseForgetsTheTailBeforeThePrefix) {
  Compute(Count(0, 16)).Clear();  // four cached blocks, twelve worthless
  for (int num_taken = 12, num_left = 4; num_left >= 0; ++num_taken, --num_left) {
    BlockTable taken;
    ASSERT_TRUE(taken.TryGrow(pool_, num_taken));
    EXPECT_EQ(Hit(Count(0, 17)), num_left);
    cache_.CheckIntegrity();
    pool_.CheckIntegrity();
  }
}

TEST_F(PrefixCacheTest, ALookupKeepsWhatItFindsFromBeingReused) {
  Compute(Count(0, 8)).Clear();
  Compute(Count(100, 8)).Clear();
  EXPECT_EQ(Hit(Count(0, 9)), 2);  // now the most recently used
  BlockTable taken;
  ASSERT_TRUE(taken.TryGrow(pool_, 14));
  EXPECT_EQ(Hit(Count(100, 9)), 0);
  EXPECT_EQ(Hit(Count(0, 9)), 2);
}

TEST_F(PrefixCacheTest, DisabledItFindsAndPublishesNothing) {
  BlockPool pool(8, kBlockSize);
  PrefixCache off(pool, false);
  BlockTable table;
  ASSERT_TRUE(table.TryGrow(pool, 1));
  const std::vector<int32_t> tokens = Count(0, 5);
  EXPECT_FALSE(off.Publish(table, 0, BlockTokens(tokens, 0), ""));
  BlockTable hit;
  EXPECT_EQ(off.Lookup(tokens, "", hit), 0);
  EXPECT_EQ(off.num_published(), 0);
  off.CheckIntegrity();
}

// Everything lands in two buckets, so it is parents, tokens and salts that tell the blocks apart.
// Random prompts over a small tree, a pool too small for it, and a note of what was computed as the
// oracle: a hit is always the block into which exactly this prefix was computed.
TEST(PrefixCacheCollisionTest, RandomUseNeverHitsWrongContent) {
  BlockPool pool(16, kBlockSize);
  PrefixCache cache(pool, true, 5, 1);
  const std::string salts[] = {"", "alice", "bob"};
  std::mt19937 random(7);
  // Of each block, the salt and the whole prefix it ends.
  std::vector<std::pair<std::string, std::vector<int32_t>>> content(16);
  std::vector<BlockTable> held;
  for (int round = 0; round < 5000; ++round) {
    const std::string& salt = salts[random() % 3];
    std::vector<int32_t> tokens;
    const int num_tokens = 1 + static_cast<int>(random() % 20);
    for (int i = 0; i < num_tokens; ++i) tokens.push_back(static_cast<int32_t>(random() % 8 / 7));
    BlockTable table;
    const int num_hits = cache.Lookup(tokens, salt, table);
    for (int i = 0; i < num_hits; ++i) {
      const std::vector<int32_t> prefix(tokens.begin(), tokens.begin() + (i + 1) * kBlockSize);
      ASSERT_EQ(content[static_cast<size_t>(table.ids()[static_cast<size_t>(i)])],
                std::pair(salt, prefix));
    }
    if (!table.TryGrow(pool, num_tokens / kBlockSize)) {
      held.clear();
      continue;
    }
    for (int i = num_hits; i < num_tokens / kBlockSize; ++i) {
      const std::vector<int32_t> prefix(tokens.begin(), tokens.begin() + (i + 1) * kBlockSize);
      content[static_cast<size_t>(table.ids()[static_cast<size_t>(i)])] = {salt, prefix};
      cache.Publish(table, i,
                    std::span(tokens).subspan(static_cast<size_t>(i * kBlockSize), kBlockSize),
                    salt);
    }
    if (random() % 4 == 0) held.push_back(std::move(table));
    if (!held.empty() && random() % 3 == 0) {
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(random() % held.size()));
    }
    if (round % 16 == 0) {
      cache.CheckIntegrity();
      pool.CheckIntegrity();
    }
  }
}

}  // namespace
}  // namespace runahead
