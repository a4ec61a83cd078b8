#include "engine/engine_status.h"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

namespace runahead {
namespace {

using std::chrono::seconds;

constexpr Duration kStuckAfter = seconds(60);
constexpr TimePoint kNow = TimePoint(seconds(1000));

TEST(EngineStatus, ServesUntilToldOtherwise) {
  EngineStatus status;
  EXPECT_TRUE(status.accepts_requests());
  EXPECT_EQ(status.Health(kNow, kStuckAfter), EngineHealth::kServing);
  status.BeginDrain();
  EXPECT_FALSE(status.accepts_requests());
  EXPECT_EQ(status.Health(kNow, kStuckAfter), EngineHealth::kDraining);
  status.Stop();
  EXPECT_EQ(status.Health(kNow, kStuckAfter), EngineHealth::kStopped);
}

TEST(EngineStatus, FailureIsSticky) {
  EngineStatus status;
  status.Fail();
  status.BeginDrain();
  status.Stop();
  EXPECT_EQ(status.Health(kNow, kStuckAfter), EngineHealth::kFailed);
}

TEST(EngineStatus, OnlyAStepThatLastsIsStuck) {
  EngineStatus status;
  status.BeginStep(kNow);
  EXPECT_EQ(status.Health(kNow + kStuckAfter, kStuckAfter), EngineHealth::kServing);
  EXPECT_EQ(status.Health(kNow + kStuckAfter + seconds(1), kStuckAfter), EngineHealth::kStuck);
  status.EndStep();  // an idle engine may wait for ever
  EXPECT_EQ(status.Health(kNow + kStuckAfter + seconds(1), kStuckAfter), EngineHealth::kServing);
}

TEST(EngineStatus, WaitersWakeWhenItEnds) {
  for (const bool fails : {false, true}) {
    EngineStatus status;
    std::thread waiter([&status] { status.WaitUntilEnded(); });
    status.BeginDrain();
    fails ? status.Fail() : status.Stop();
    waiter.join();
    EXPECT_TRUE(status.has_ended());
  }
}

}  // namespace
}  // namespace runahead
