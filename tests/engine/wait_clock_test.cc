#include "engine/wait_clock.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class WaitClockTest : public ::testing::Test {
 protected:
  // The queue stood for `reason` behind a request of `priority` for so long.
  void Stand(WaitReason reason, int priority, int ms) {
    clock_.Set(reason, priority);
    now_ += milliseconds(ms);
    clock_.Advance(now_);
  }
  // What a request of `priority` waited since `before`, in ms, by segment.
  std::vector<int64_t> Waited(int priority, const WaitClock::Reading& before = {}) const {
    std::vector<int64_t> waited;
    const WaitClock::Reading reading = clock_.Read(priority);
    for (size_t i = 0; i < reading.size(); ++i) {
      waited.push_back((reading[i] - before[i]) / milliseconds(1));
    }
    return waited;
  }

  WaitClock clock_;
  TimePoint now_{milliseconds(1000)};
};

TEST_F(WaitClockTest, TimeIsBookedForTheReasonItBeganWith) {
  clock_.Advance(now_);
  Stand(WaitReason::kWindow, 0, 1);
  Stand(WaitReason::kPlaces, 0, 2);
  Stand(WaitReason::kTokens, 0, 4);
  Stand(WaitReason::kBlocks, 0, 8);
  Stand(WaitReason::kPlaces, 0, 16);
  EXPECT_THAT(Waited(0), ElementsAre(0, 1, 18, 4, 8, 0));
}

TEST_F(WaitClockTest, TwoReadingsTellWhatCameBetween) {
  clock_.Advance(now_);
  Stand(WaitReason::kBlocks, 0, 5);
  const WaitClock::Reading before = clock_.Read(0);
  Stand(WaitReason::kBlocks, 0, 7);
  EXPECT_THAT(Waited(0, before), ElementsAre(0, 0, 0, 0, 7, 0));
}

TEST_F(WaitClockTest, BehindABetterPriorityNothingElseIsWaitedFor) {
  clock_.Advance(now_);
  Stand(WaitReason::kBlocks, -3, 10);
  Stand(WaitReason::kPlaces, 5, 20);
  EXPECT_THAT(Waited(-3), ElementsAre(0, 0, 20, 0, 10, 0));
  EXPECT_THAT(Waited(5), ElementsAre(0, 0, 20, 0, 0, 10));
  EXPECT_THAT(Waited(6), ElementsAre(0, 0, 0, 0, 0, 30));
}

TEST_F(WaitClockTest, AnEmptyQueueStopsTheClock) {
  clock_.Advance(now_);
  Stand(WaitReason::kNone, 0, 100);
  EXPECT_THAT(Waited(0), ElementsAre(0, 0, 0, 0, 0, 0));
}

TEST_F(WaitClockTest, ManyPrioritiesAreToldApartUpToABoundAndNoTimeIsLost) {
  clock_.Advance(now_);
  for (int priority = 0; priority < 1000; ++priority) Stand(WaitReason::kBlocks, priority, 1);
  EXPECT_THAT(Waited(5), ElementsAre(0, 0, 0, 0, 995, 5));
  EXPECT_THAT(Waited(2000), ElementsAre(0, 0, 0, 0, 0, 1000));
}

}  // namespace
}  // namespace runahead
