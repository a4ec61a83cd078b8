#include "tests/cuda_emulator/clocks.h"

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

class ClocksTest : public testing::Test {
 protected:
  ClocksTest() { clocks_.Reset(96); }
  // Whether what `earlier` did up to now is known to `later` after `sync`.
  template <typename Sync>
  bool Orders(int earlier, int later, Sync sync) {
    const uint32_t time = clocks_.time(earlier);
    EXPECT_FALSE(clocks_.HappenedBefore(earlier, time, later));
    sync();
    return clocks_.HappenedBefore(earlier, time, later);
  }

  Clocks clocks_;
};

TEST_F(ClocksTest, OwnPastIsKnown) { EXPECT_TRUE(clocks_.HappenedBefore(3, clocks_.time(3), 3)); }

TEST_F(ClocksTest, BlockBarrierOrdersAll) {
  EXPECT_TRUE(Orders(0, 95, [&] { clocks_.SyncBlock(); }));
  EXPECT_FALSE(clocks_.HappenedBefore(0, clocks_.time(0), 95)) << "what follows is not";
}

TEST_F(ClocksTest, WarpBarrierOrdersItsLanes) {
  EXPECT_TRUE(Orders(32, 63, [&] { clocks_.SyncWarp(1, ~0u); }));
  EXPECT_FALSE(Orders(32, 64, [&] { clocks_.SyncWarp(1, ~0u); })) << "another warp";
}

TEST_F(ClocksTest, PartialWarpBarrierOrdersItsMask) {
  EXPECT_TRUE(Orders(0, 1, [&] { clocks_.SyncWarp(0, 3); }));
  EXPECT_FALSE(Orders(0, 2, [&] { clocks_.SyncWarp(0, 3); }));
  // 0 -> 1 -> 2: handed on.
  EXPECT_TRUE(Orders(0, 2, [&] {
    clocks_.SyncWarp(0, 3);
    clocks_.SyncWarp(0, 6);
  }));
}

TEST_F(ClocksTest, NamedBarrierOrdersWhoCameBeforeWhoWaits) {
  Clocks::Join join;
  EXPECT_TRUE(Orders(0, 40, [&] {
    clocks_.Contribute(0, join);
    clocks_.Contribute(40, join);
    clocks_.Learn(40, join);
  }));
  EXPECT_FALSE(Orders(40, 0, [&] {})) << "who only arrives learns nothing";
}

TEST_F(ClocksTest, KnowledgeIsHandedOnAcrossWarps) {
  EXPECT_TRUE(Orders(0, 64, [&] {
    Clocks::Join first;
    clocks_.Contribute(0, first);
    clocks_.Learn(32, first);
    Clocks::Join second;
    clocks_.Contribute(32, second);
    clocks_.Learn(64, second);
  }));
}

// What the agent did is known to who waits for it, and to no one a barrier among threads joins.
TEST_F(ClocksTest, AsynchronousWorkIsKnownToWhoWaits) {
  Clocks::Join join;
  const uint32_t time = clocks_.StartAsync(0, join);
  clocks_.SyncBlock();
  EXPECT_FALSE(clocks_.HappenedBefore(clocks_.agent(), time, 0)) << "not even to its issuer";
  clocks_.LearnAlone(40, join);
  EXPECT_TRUE(clocks_.HappenedBefore(clocks_.agent(), time, 40));
  EXPECT_FALSE(clocks_.HappenedBefore(clocks_.agent(), time, 41)) << "one lane has waited";
  clocks_.SyncWarp(1, 0x0300);
  EXPECT_TRUE(clocks_.HappenedBefore(clocks_.agent(), time, 41));
  EXPECT_FALSE(clocks_.HappenedBefore(clocks_.agent(), time, 42));
  clocks_.SyncWarp(1, ~0u);
  EXPECT_TRUE(clocks_.HappenedBefore(clocks_.agent(), time, 63));
  clocks_.SyncBlock();
  EXPECT_TRUE(clocks_.HappenedBefore(clocks_.agent(), time, 0)) << "handed on";
}

TEST_F(ClocksTest, AsynchronousWorkTellsWhatItsIssuerKnewThen) {
  const uint32_t before = clocks_.time(0);
  Clocks::Join join;
  clocks_.StartAsync(0, join);
  const uint32_t after = clocks_.time(0);
  clocks_.LearnAlone(95, join);
  EXPECT_TRUE(clocks_.HappenedBefore(0, before, 95));
  EXPECT_FALSE(clocks_.HappenedBefore(0, after, 95));
}

TEST_F(ClocksTest, AProxyFenceCoversOnesOwnAndWhatOneKnows) {
  const uint32_t time = clocks_.time(0);
  EXPECT_FALSE(clocks_.IsFenced(0, time, 40));
  clocks_.FenceProxy(40);
  EXPECT_FALSE(clocks_.IsFenced(0, time, 40)) << "it did not know of thread 0 yet";
  clocks_.SyncBlock();
  EXPECT_FALSE(clocks_.IsFenced(0, time, 40)) << "the fence comes after";
  clocks_.FenceProxy(40);
  EXPECT_TRUE(clocks_.IsFenced(0, time, 40));
  EXPECT_FALSE(clocks_.IsFenced(0, time, 41)) << "another reader's fence";
  clocks_.FenceProxy(0);
  EXPECT_TRUE(clocks_.IsFenced(0, time, 41)) << "the writer's own";
  EXPECT_FALSE(clocks_.IsFenced(0, clocks_.time(0), 41)) << "what follows is not";
}

}  // namespace
}  // namespace runahead::emulator
