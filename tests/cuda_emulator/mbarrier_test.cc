#include "tests/cuda_emulator/mbarrier.h"

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

TEST(MbarrierTest, APhaseEndsWithItsLastArrival) {
  Mbarrier barrier(2);
  EXPECT_FALSE(barrier.IsOver(0));
  EXPECT_TRUE(barrier.IsOver(1)) << "the phase before the first counts as over";
  EXPECT_TRUE(barrier.Arrive());
  EXPECT_FALSE(barrier.TryNextPhase());
  EXPECT_TRUE(barrier.Arrive());
  EXPECT_TRUE(barrier.TryNextPhase());
  EXPECT_TRUE(barrier.IsOver(0));
  EXPECT_FALSE(barrier.IsOver(1));
  EXPECT_FALSE(barrier.is_partial());
}

TEST(MbarrierTest, APhaseWaitsForItsBytesToo) {
  Mbarrier barrier(1);
  EXPECT_TRUE(barrier.Expect(64));
  EXPECT_TRUE(barrier.Arrive());
  EXPECT_FALSE(barrier.TryNextPhase());
  EXPECT_EQ(barrier.Text(), "phase 0 lacks 0 arrivals and 64 bytes");
  EXPECT_FALSE(barrier.Arrive()) << "more arrivals than a phase takes";
  EXPECT_TRUE(barrier.Complete(48));
  EXPECT_FALSE(barrier.TryNextPhase());
  EXPECT_TRUE(barrier.Complete(16));
  EXPECT_TRUE(barrier.TryNextPhase());
}

TEST(MbarrierTest, BytesMayComeBeforeTheyAreAnnounced) {
  Mbarrier barrier(1);
  EXPECT_TRUE(barrier.Complete(64));
  EXPECT_FALSE(barrier.TryNextPhase());
  EXPECT_TRUE(barrier.Expect(64));
  EXPECT_FALSE(barrier.TryNextPhase()) << "the arrival is outstanding";
  EXPECT_TRUE(barrier.Arrive());
  EXPECT_TRUE(barrier.TryNextPhase());
}

TEST(MbarrierTest, BytesAreCountedInTwentyBits) {
  Mbarrier barrier(1);
  EXPECT_TRUE(barrier.Expect((1 << 20) - 1));
  EXPECT_FALSE(barrier.Expect(1));
}

}  // namespace
}  // namespace runahead::emulator
