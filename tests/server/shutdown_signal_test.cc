#include "server/shutdown_signal.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

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

// Any handled signal interrupts the wait as a stop and continue of the process do.
TEST(ShutdownSignalTest, AnInterruptedWaitGoesOn) {
  std::signal(SIGUSR2, [](int) {});
  const ShutdownSignal signal;
  const pthread_t waiter = pthread_self();
  std::atomic<bool> is_done = false;
  std::thread interrupter([&] {
    while (!is_done) pthread_kill(waiter, SIGUSR2);
  });
  EXPECT_EQ(signal.WaitFor(std::chrono::milliseconds(20)), ShutdownSignal::Cause::kTimedOut);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(signal.WaitFor(std::chrono::milliseconds(20)), ShutdownSignal::Cause::kTimedOut);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
  is_done = true;
  interrupter.join();
  std::signal(SIGUSR2, SIG_DFL);
}

TEST(ShutdownSignalTest, ASignalThatNobodyWaitedForDoesNotOutliveIt) {
  std::optional<ShutdownSignal> signal;
  signal.emplace();
  pthread_kill(pthread_self(), SIGTERM);
  signal.reset();  // would end this process if the signal were let through
  SUCCEED();
}

}  // namespace
}  // namespace runahead
