#include "kvcache/block_pool.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

class RecordingListener final : public BlockReuseListener {
 public:
  void OnReuse(BlockId id) override { reused.push_back(Index(id)); }
  std::vector<int32_t> reused;
};

TEST(BlockPoolTest, HandsOutEveryBlockOnceThenNone) {
  BlockPool pool(3, 16);
  std::vector<BlockRef> refs;
  std::vector<bool> seen(3, false);
  for (int i = 0; i < 3; ++i) {
    refs.push_back(pool.TryAllocate());
    ASSERT_TRUE(refs.back());
    seen[static_cast<size_t>(Index(refs.back().id()))] = true;
    pool.CheckIntegrity();
  }
  EXPECT_EQ(seen, std::vector<bool>(3, true));
  EXPECT_FALSE(pool.TryAllocate());
  EXPECT_EQ(pool.num_used(), 3);
  refs.clear();
  EXPECT_EQ(pool.num_free(), 3);
  pool.CheckIntegrity();
}

TEST(BlockPoolTest, ABlockIsFreeWhenItsLastReferenceGoes) {
  BlockPool pool(2, 16);
  BlockRef first = pool.TryAllocate();
  BlockRef second = pool.Share(first.id());
  EXPECT_EQ(pool.num_refs(first.id()), 2);
  first = BlockRef();
  EXPECT_EQ(pool.num_used(), 1);
  BlockRef moved = std::move(second);
  EXPECT_FALSE(second);  // NOLINT(bugprone-use-after-move): moved-from means empty
  EXPECT_EQ(pool.num_used(), 1);
  moved = BlockRef();
  EXPECT_EQ(pool.num_used(), 0);
  pool.CheckIntegrity();
}

// Released in the order a, b, c, d with b and d findable:
//
//   front -> [c] [a] ... never used ... [b] [d] <- back
TEST(BlockPoolTest, ReusesWorthlessBlocksFirstThenTheLeastRecentlyUsed) {
  BlockPool pool(4, 16);
  RecordingListener listener;
  pool.SetListener(&listener);
  std::vector<BlockRef> refs;
  for (int i = 0; i < 4; ++i) refs.push_back(pool.TryAllocate());
  const std::vector<BlockId> ids = {refs[0].id(), refs[1].id(), refs[2].id(), refs[3].id()};
  pool.SetFindable(ids[1]);
  pool.SetFindable(ids[3]);
  for (BlockRef& ref : refs) ref = BlockRef();
  EXPECT_EQ(pool.num_cached(), 2);
  pool.CheckIntegrity();

  std::vector<int32_t> order;
  for (BlockRef& ref : refs) {
    ref = pool.TryAllocate();
    order.push_back(Index(ref.id()));
    pool.CheckIntegrity();
  }
  EXPECT_EQ(order,
            (std::vector<int32_t>{Index(ids[2]), Index(ids[0]), Index(ids[1]), Index(ids[3])}));
  EXPECT_EQ(listener.reused, (std::vector<int32_t>{Index(ids[1]), Index(ids[3])}));
  EXPECT_FALSE(pool.IsFindable(ids[1]));
  EXPECT_EQ(pool.num_cached(), 0);
}

TEST(BlockPoolTest, SharingAFreeFindableBlockRevivesIt) {
  BlockPool pool(2, 16);
  BlockRef ref = pool.TryAllocate();
  const BlockId id = ref.id();
  pool.SetFindable(id);
  pool.RaiseValid(id, CacheModel::kTarget, 16);
  ref = BlockRef();
  EXPECT_EQ(pool.num_free(), 2);
  ref = pool.Share(id);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.num_cached(), 0);
  EXPECT_EQ(pool.num_valid(id, CacheModel::kTarget), 16);
  pool.CheckIntegrity();
  const BlockRef other = pool.TryAllocate();
  EXPECT_NE(Index(other.id()), Index(id));
}

TEST(BlockPoolTest, ValidTokensOnlyRiseAndStartAnewWithNewContent) {
  BlockPool pool(1, 16);
  BlockRef ref = pool.TryAllocate();
  pool.RaiseValid(ref.id(), CacheModel::kTarget, 9);
  pool.RaiseValid(ref.id(), CacheModel::kTarget, 4);
  EXPECT_EQ(pool.num_valid(ref.id(), CacheModel::kTarget), 9);
  EXPECT_EQ(pool.num_valid(ref.id(), CacheModel::kDraft), 0);
  ref = BlockRef();
  ref = pool.TryAllocate();
  EXPECT_EQ(pool.num_valid(ref.id(), CacheModel::kTarget), 0);
}

using BlockPoolDeathTest = ::testing::Test;

TEST(BlockPoolDeathTest, SharingAFreeBlockWithoutContentIsABug) {
  BlockPool pool(1, 16);
  EXPECT_DEATH((void)pool.Share(BlockId{0}), "cannot be shared");
}

}  // namespace
}  // namespace runahead
