#include "kvcache/block_table.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

std::vector<int32_t> Ids(const BlockTable& table) {
  return {table.ids().begin(), table.ids().end()};
}

TEST(BlockTableTest, GrowsAllOrNothing) {
  BlockPool pool(4, 16);
  BlockTable table;
  EXPECT_TRUE(table.TryGrow(pool, 3));
  EXPECT_TRUE(table.TryGrow(pool, 2));
  EXPECT_EQ(table.num_blocks(), 3);
  EXPECT_FALSE(table.TryGrow(pool, 5));
  EXPECT_EQ(table.num_blocks(), 3);
  EXPECT_EQ(pool.num_used(), 3);
  EXPECT_TRUE(table.TryGrow(pool, 4));
}

TEST(BlockTableTest, IdsFollowTheBlocks) {
  BlockPool pool(4, 16);
  BlockTable table;
  ASSERT_TRUE(table.TryGrow(pool, 2));
  BlockRef other = pool.TryAllocate();
  const int32_t kept = table.ids()[0];
  const int32_t replaced = table.ids()[1];
  const int32_t added = Index(other.id());
  table.Replace(1, std::move(other));
  EXPECT_EQ(Ids(table), (std::vector<int32_t>{kept, added}));
  EXPECT_EQ(pool.num_refs(BlockId{replaced}), 0);
  table.Truncate(1);
  EXPECT_EQ(Ids(table), std::vector<int32_t>{kept});
  EXPECT_EQ(pool.num_used(), 1);
}

TEST(BlockTableTest, MovingHandsTheBlocksOver) {
  BlockPool pool(4, 16);
  BlockTable from;
  ASSERT_TRUE(from.TryGrow(pool, 2));
  BlockTable to;
  ASSERT_TRUE(to.TryGrow(pool, 1));
  to = std::move(from);
  EXPECT_EQ(pool.num_used(), 2);
  EXPECT_EQ(to.num_blocks(), 2);
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): moved-from means empty
  const BlockTable built(std::move(to));
  EXPECT_EQ(pool.num_used(), 2);
}

// A table [p][q][r] of findable blocks is given back r, q, p, so r is the first to be handed out
// again and the prefix p the last.
TEST(BlockTableTest, DestroyingGivesBackTheTailFirst) {
  BlockPool pool(3, 16);
  std::vector<int32_t> ids;
  {
    BlockTable table;
    ASSERT_TRUE(table.TryGrow(pool, 3));
    ids = Ids(table);
    for (const int32_t id : ids) pool.SetFindable(BlockId{id});
  }
  BlockTable again;
  ASSERT_TRUE(again.TryGrow(pool, 3));
  EXPECT_EQ(Ids(again), (std::vector<int32_t>{ids[2], ids[1], ids[0]}));
}

}  // namespace
}  // namespace runahead
