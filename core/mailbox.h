// Mailbox<T>: many senders, one receiver; the only way into the engine thread. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace runahead {

// Messages arrive in the order sent by each sender. The mutex is held only to move a message in or
// swap the whole box out (docs/contract.md lists it).
template <typename T>
class Mailbox {
 public:
  void Send(T message) {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
    }
    arrived_.notify_one();
  }

  // Takes everything that waits; never blocks for messages.
  std::vector<T> Take() {
    std::vector<T> taken;
    const std::lock_guard lock(mutex_);
    taken.swap(messages_);
    return taken;
  }

  // Waits until a message is there or `deadline` passes; true when there is one.
  bool WaitUntil(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    const auto ready = [this] { return !messages_.empty(); };
    if (deadline == kNoDeadline) {
      arrived_.wait(lock, ready);
      return true;
    }
    return arrived_.wait_until(lock, deadline, ready);
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<T> messages_;
};

}  // namespace runahead
