#include "server/yielding_queue.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

// A pool whose only thread is the test: what is posted waits in a list.
class YieldingQueueTest : public ::testing::Test {
 protected:
  YieldingQueue::Post ToPool() {
    return [this](std::function<void()> task) { pool_.push_back(std::move(task)); };
  }
  bool RunOne() {
    if (pool_.empty()) return false;
    const std::function<void()> task = std::move(pool_.front());
    pool_.pop_front();
    task();
    return true;
  }

  std::deque<std::function<void()>> pool_;
};

TEST_F(YieldingQueueTest, RunsEveryTaskInOrder) {
  YieldingQueue queue(1, ToPool());
  std::vector<int> ran;
  for (int i = 0; i < 100; ++i) queue.Add([&ran, i] { ran.push_back(i); });
  while (RunOne()) {
  }
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
  queue.Add([&ran] { ran.clear(); });
  EXPECT_TRUE(RunOne()) << "a queue that ran empty begins again";
  EXPECT_TRUE(ran.empty());
}

TEST_F(YieldingQueueTest, WhatIsPostedBesideItRunsBeforeMostOfIt) {
  YieldingQueue queue(2, ToPool());
  int num_ran = 0;
  for (int i = 0; i < 100; ++i) queue.Add([&num_ran] { ++num_ran; });
  EXPECT_EQ(pool_.size(), 2u) << "two runners, however many tasks";
  int num_before = -1;
  pool_.emplace_back([&] { num_before = num_ran; });
  while (RunOne()) {
  }
  EXPECT_EQ(num_ran, 100);
  EXPECT_GT(num_before, 0);
  EXPECT_LE(num_before, 20);
}

TEST_F(YieldingQueueTest, TasksMayAddTasks) {
  YieldingQueue queue(1, ToPool());
  std::string ran;
  queue.Add([&] {
    queue.Add([&] { ran += "c"; });
    ran += "a";
  });
  queue.Add([&] { ran += "b"; });
  while (RunOne()) {
  }
  EXPECT_EQ(ran, "abc");
}

TEST(YieldingQueueThreads, NoTaskIsLostOrRunTwice) {
  constexpr int kTasks = 1000;
  std::mutex mutex;
  std::vector<std::function<void()>> pool;
  std::atomic<int> num_ran = 0;
  const auto post = [&](std::function<void()> task) {
    const std::lock_guard lock(mutex);
    pool.push_back(std::move(task));
  };
  YieldingQueue queue(2, post);
  const auto work = [&] {
    while (num_ran < 2 * kTasks) {
      std::function<void()> task;
      {
        const std::lock_guard lock(mutex);
        if (!pool.empty()) {
          task = std::move(pool.back());
          pool.pop_back();
        }
      }
      if (task)
        task();
      else
        std::this_thread::yield();
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) threads.emplace_back(work);
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTasks; ++i) queue.Add([&] { ++num_ran; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_ran, 2 * kTasks);
}

}  // namespace
}  // namespace runahead
