#include "engine/token_queue.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TokenEvent Token(int32_t id) {
  TokenEvent event;
  event.token = id;
  return event;
}

void PushOne(TokenQueue& queue, int32_t id) {
  std::vector<TokenEvent> events = {Token(id)};
  EXPECT_EQ(queue.Push(events), 0);
  EXPECT_TRUE(events.empty());
}

TEST(TokenQueue, KeepsOrderOverSeveralPushes) {
  TokenQueue queue;
  PushOne(queue, 1);
  PushOne(queue, 2);
  const std::vector<TokenEvent> taken = queue.Take();
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].token, 1);
  EXPECT_EQ(taken[1].token, 2);
  EXPECT_TRUE(queue.Take().empty());
}

TEST(TokenQueue, WakesOncePerArming) {
  TokenQueue queue;
  int calls = 0;
  queue.Arm([&calls] { ++calls; });
  EXPECT_EQ(calls, 0);
  PushOne(queue, 1);
  PushOne(queue, 2);
  EXPECT_EQ(calls, 1);
}

TEST(TokenQueue, WakesAtOnceWhenEventsWait) {
  TokenQueue queue;
  PushOne(queue, 1);
  int calls = 0;
  queue.Arm([&calls] { ++calls; });
  EXPECT_EQ(calls, 1);
  PushOne(queue, 2);
  EXPECT_EQ(calls, 1);
}

TEST(TokenQueue, NothingPushedWakesNobody) {
  TokenQueue queue;
  int calls = 0;
  queue.Arm([&calls] { ++calls; });
  std::vector<TokenEvent> none;
  queue.Push(none);
  EXPECT_EQ(calls, 0);
}

TEST(TokenQueue, TheWakerMayUseTheQueue) {  // so no lock is held while it runs
  TokenQueue queue;
  std::vector<TokenEvent> taken;
  queue.Arm([&] {
    taken = queue.Take();
    queue.Arm([] {});
  });
  PushOne(queue, 7);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].token, 7);
}

TEST(TokenQueue, AbandonedQueuesKeepNothingAndWakeNobody) {
  TokenQueue queue;
  int calls = 0;
  queue.Arm([&calls] { ++calls; });
  queue.Abandon();
  std::vector<TokenEvent> events = {Token(1), Token(2), Token(-1)};
  EXPECT_EQ(queue.Push(events), 2);  // the third is a bare finish
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(queue.Take().empty());
}

TEST(TokenQueue, OneProducerOneConsumerLoseNothing) {
  constexpr int kTokens = 5000;
  TokenQueue queue;
  std::thread producer([&queue] {
    std::vector<TokenEvent> events;
    for (int i = 0; i < kTokens;) {
      for (int n = 0; n < 1 + i % 3 && i < kTokens; ++n) events.push_back(Token(i++));
      queue.Push(events);
    }
  });
  int next = 0;
  while (next < kTokens) {
    for (const TokenEvent& event : queue.Wait()) ASSERT_EQ(event.token, next++);
  }
  producer.join();
}

TEST(TokenQueue, ArmingNeverMissesAPush) {
  constexpr int kTokens = 5000;
  TokenQueue queue;
  std::thread producer([&queue] {
    for (int i = 0; i < kTokens; ++i) PushOne(queue, i);
  });
  int next = 0;
  while (next < kTokens) {
    std::atomic<bool> woken = false;
    queue.Arm([&woken] {
      woken = true;
      woken.notify_one();
    });
    woken.wait(false);
    for (const TokenEvent& event : queue.Take()) ASSERT_EQ(event.token, next++);
  }
  producer.join();
}

}  // namespace
}  // namespace runahead
