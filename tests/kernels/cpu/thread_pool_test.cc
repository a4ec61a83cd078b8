#include "kernels/cpu/thread_pool.h"

#include <numeric>

#include <gtest/gtest.h>

namespace runahead::cpu {
namespace {

TEST(ThreadPool, RunsOnceOnEachThread) {
  for (const int num_threads : {1, 2, 5}) {
    ThreadPool pool(num_threads, false);
    EXPECT_EQ(pool.num_threads(), num_threads);
    std::vector<int> calls(static_cast<size_t>(num_threads));
    for (int round = 0; round < 100; ++round) {
      pool.Run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
    }
    for (const int count : calls) EXPECT_EQ(count, 100);
  }
}

TEST(ThreadPool, RunsEachItemOnceAndSeesItsStores) {
  ThreadPool pool(4, false);
  std::vector<int64_t> values(1000);
  for (int round = 1; round <= 50; ++round) {
    pool.RunItems(1000, [&](int, int64_t i) { values[static_cast<size_t>(i)] += i; });
    // The caller's own stores between runs reach the workers, too.
    for (int64_t& value : values) value += 1;
  }
  for (int64_t i = 0; i < 1000; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], 50 * i + 50);
}

TEST(ThreadPool, RangesCoverEveryIndexOnce) {
  for (const int num_threads : {1, 2, 3}) {
    ThreadPool pool(num_threads, false);
    for (const int64_t count : {0, 1, 2, 7, 100}) {
      for (const int64_t grain : {1, 3, 200}) {
        std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
        pool.RunRanges(count, grain, [&](int thread, int64_t begin, int64_t end) {
          EXPECT_LT(thread, num_threads);
          for (int64_t i = begin; i < end; ++i) ++calls[static_cast<size_t>(i)];
        });
        for (const auto& count_of_index : calls) EXPECT_EQ(count_of_index, 1);
      }
    }
  }
}

TEST(ThreadPool, NoItemsDoNothing) {
  ThreadPool pool(2, false);
  pool.RunItems(0, [](int, int64_t) { FAIL(); });
}

TEST(ThreadPool, StopsWhileItsWorkersSleep) {
  for (int i = 0; i < 20; ++i) ThreadPool pool(3, false);
}

TEST(ThreadPool, PinsWithoutChangingResults) {
  ThreadPool pool(2, true);
  std::atomic<int> sum = 0;
  pool.RunItems(10, [&](int, int64_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 45);
}

TEST(ThreadPool, DefaultsToAtLeastOneThread) { EXPECT_GE(DefaultNumThreads(), 1); }

}  // namespace
}  // namespace runahead::cpu
