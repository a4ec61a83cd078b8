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
  std::vector<std::thread> workers_;
};

// Threads to use where nothing is asked: one per physical core this process may use.
int DefaultNumThreads();

}  // namespace runahead::cpu
