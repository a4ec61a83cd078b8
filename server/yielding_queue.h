// YieldingQueue: many small tasks on a thread pool that has more urgent things to do between them.
// Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <mutex>

namespace runahead {

// A step of the engine wakes every stream at once. Posted one by one, 256 of them would stand
// before the next health probe; here at most `max_runners` of the pool's threads are at them, and
// each goes to the end of the pool's own queue after a few. Tasks begin in the order they were
// added.
class YieldingQueue {
 public:
  // Runs what it is given soon, on a thread of the pool; whatever it was given first, first.
  using Post = std::function<void(std::function<void()>)>;

  YieldingQueue(int max_runners, Post post);

  void Add(std::function<void()> task);

 private:
  void RunSlice();
  std::function<void()> Next();  // empty: there is none, and this runner has ended

  const int max_runners_;
  const Post post_;
  std::mutex mutex_;  // held to move a task in or out (docs/contract.md)
  std::deque<std::function<void()>> tasks_;
  int num_runners_ = 0;
};

}  // namespace runahead
