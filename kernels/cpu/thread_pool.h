// ThreadPool: the persistent threads that run slices of one op. One caller at a time; it is thread
// 0 and works too.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace runahead::cpu {

// Workers spin for a few microseconds after their last slice, because the next op of a step follows
// at once, then sleep in the kernel: an idle server burns no CPU. The caller's stores before Run
// happen before every slice, and every slice before Run's return.
class ThreadPool {
 public:
  // `num_threads` counts the caller. With `pin`, worker i runs on the i-th CPU this process may
  // use.
  ThreadPool(int num_threads, bool pin);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  // Calls body(thread) once on each of the threads [0, num_threads).
  template <typename Body>
  void Run(Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    RunErased([](void* context, int thread) { (*static_cast<Plain*>(context))(thread); },
              const_cast<void*>(static_cast<const void*>(&body)));
  }

  // Calls body(thread, begin, end) on disjoint ranges that cover [0, count). Thread t begins with
  // its own contiguous share [count t / n, count (t + 1) / n), a piece of `grain` at a time, and
  // then helps where others are behind: a core that someone else is using delays nobody. Which
  // thread runs a piece must not change its result.
  template <typename Body>
  void RunRanges(int64_t count, int64_t grain, Body&& body) {
    const int n = num_threads_;
    if (n == 1) {
      if (count > 0) body(0, int64_t{0}, count);
      return;
    }
    for (int t = 0; t < n; ++t) {
      shares_[static_cast<size_t>(t)].next.store(count * t / n, std::memory_order_relaxed);
    }
    Run([&](int thread) {
      for (int i = 0; i < n; ++i) {
        const int owner = (thread + i) % n;
        std::atomic<int64_t>& next = shares_[static_cast<size_t>(owner)].next;
        const int64_t end = count * (owner + 1) / n;
        for (int64_t begin = next.fetch_add(grain, std::memory_order_relaxed); begin < end;
             begin = next.fetch_add(grain, std::memory_order_relaxed)) {
          body(thread, begin, begin + grain < end ? begin + grain : end);
        }
      }
    });
  }

  // Calls body(thread, i) once for each i in [0, num_items), each item on whichever thread is free.
  template <typename Body>
  void RunItems(int64_t num_items, Body&& body) {
    if (num_threads_ == 1 || num_items <= 1) {
      for (int64_t i = 0; i < num_items; ++i) body(0, i);
      return;
    }
    std::atomic<int64_t> next{0};
    Run([&](int thread) {
      for (int64_t i = next.fetch_add(1, std::memory_order_relaxed); i < num_items;
           i = next.fetch_add(1, std::memory_order_relaxed)) {
        body(thread, i);
      }
    });
  }

 private:
  using Task = void (*)(void* context, int thread);

  void RunErased(Task task, void* context);
  void Work(int thread);
  uint32_t AwaitEpoch(uint32_t seen) const;

  const int num_threads_;
  Task task_ = nullptr;      // written before epoch_ moves, read after
  void* context_ = nullptr;  // likewise
  bool stopping_ = false;    // likewise
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<int> num_running_{0};
  // Where each thread's share of RunRanges goes on; a cache line each.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
  };
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
};

// Threads to use where nothing is asked: one per physical core this process may use.
int DefaultNumThreads();

}  // namespace runahead::cpu
