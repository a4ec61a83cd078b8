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

}  // namespace
}  // namespace runahead::emulator
