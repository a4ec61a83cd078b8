#include "server/yielding_queue.h"

#include <utility>

namespace runahead {
namespace {

// A stream's task takes about 10 us, so that what waits behind a slice waits for well under a
// millisecond, while going to the end of the queue costs little of it.
constexpr int kTasksOfASlice = 8;

}  // namespace

YieldingQueue::YieldingQueue(int max_runners, Post post)
    : max_runners_(max_runners), post_(std::move(post)) {}

void YieldingQueue::Add(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (num_runners_ == max_runners_) return;
    ++num_runners_;
  }
  post_([this] { RunSlice(); });
}

std::function<void()> YieldingQueue::Next() {
  const std::lock_guard lock(mutex_);
  if (tasks_.empty()) {
    --num_runners_;
    return nullptr;
  }
  std::function<void()> next = std::move(tasks_.front());
  tasks_.pop_front();
  return next;
}

void YieldingQueue::RunSlice() {
  for (int i = 0; i < kTasksOfASlice; ++i) {
    const std::function<void()> task = Next();
    if (task == nullptr) return;
    task();
  }
  post_([this] { RunSlice(); });
}

}  // namespace runahead
