#include "engine/submit_gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TEST(SubmitGate, LetsInAsManyAsMayWait) {
  SubmitGate gate(2);
  EXPECT_TRUE(gate.TryEnter());
  EXPECT_TRUE(gate.TryEnter());
  EXPECT_FALSE(gate.TryEnter());
}

TEST(SubmitGate, OpensAsRequestsStopWaiting) {
  SubmitGate gate(2);
  EXPECT_TRUE(gate.TryEnter());
  EXPECT_TRUE(gate.TryEnter());
  gate.Publish(2, 2);  // admitted, but both still wait
  EXPECT_FALSE(gate.TryEnter());
  gate.Publish(2, 1);
  EXPECT_TRUE(gate.TryEnter());
  EXPECT_FALSE(gate.TryEnter());
}

TEST(SubmitGate, PreemptedRequestsMayOverfillTheQueue) {
  SubmitGate gate(2);
  EXPECT_TRUE(gate.TryEnter());
  gate.Publish(1, 5);
  EXPECT_FALSE(gate.TryEnter());
  gate.Publish(1, 0);
  EXPECT_TRUE(gate.TryEnter());
}

TEST(SubmitGate, ManyThreadsNeverOverfill) {
  constexpr int kLimit = 500;
  SubmitGate gate(kLimit);
  std::atomic<int> num_entered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLimit; ++i) num_entered += gate.TryEnter() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_entered, kLimit);
}

}  // namespace
}  // namespace runahead
