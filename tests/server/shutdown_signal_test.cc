#include "server/shutdown_signal.h"

#include <csignal>

#include "gtest/gtest.h"
#include <pthread.h>

namespace runahead {
namespace {

TEST(ShutdownSignalTest, TellsAnAskedStopFromARaisedOne) {
  const ShutdownSignal signal;
  // To this thread: another could have the signals unblocked.
  pthread_kill(pthread_self(), SIGTERM);
  EXPECT_EQ(signal.Wait(), ShutdownSignal::Cause::kAsked);
  pthread_kill(pthread_self(), SIGINT);
  EXPECT_EQ(signal.Wait(), ShutdownSignal::Cause::kAsked);
  signal.Raise();
  EXPECT_EQ(signal.Wait(), ShutdownSignal::Cause::kRaised);
  signal.Raise();
  EXPECT_EQ(signal.WaitFor(std::chrono::minutes(1)), ShutdownSignal::Cause::kRaised);
  EXPECT_EQ(signal.WaitFor(std::chrono::milliseconds(1)), ShutdownSignal::Cause::kTimedOut);
}

}  // namespace
}  // namespace runahead
