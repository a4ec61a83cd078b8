#include "core/clock.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

using std::chrono::milliseconds;

TEST(ManualClock, MovesOnlyWhenTold) {
  ManualClock clock;
  const TimePoint start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(milliseconds(5));
  EXPECT_EQ(clock.Now() - start, milliseconds(5));
}

TEST(ManualClock, StartsAfterTheZeroTimePoint) {
  const ManualClock clock;  // so that a default TimePoint can mean "not yet"
  EXPECT_GT(clock.Now(), TimePoint());
  EXPECT_LT(clock.Now(), kNoDeadline);
}

TEST(ManualClock, LosesNoAdvance) {
  ManualClock clock;
  const TimePoint start = clock.Now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&clock] {
      for (int i = 0; i < 1000; ++i) clock.Advance(milliseconds(1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clock.Now() - start, milliseconds(4000));
}

TEST(SteadyClock, NeverGoesBack) {
  const SteadyClock clock;
  TimePoint last = clock.Now();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Seconds, ConvertsAnyDuration) {
  EXPECT_DOUBLE_EQ(Seconds(milliseconds(1500)), 1.5);
  EXPECT_DOUBLE_EQ(Seconds(-milliseconds(1)), -0.001);
}

}  // namespace
}  // namespace runahead
