#include "engine/token_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace runahead {
namespace {

bool HasToken(const TokenEvent& event) { return event.token >= 0; }

}  // namespace

int TokenQueue::Push(std::vector<TokenEvent>& events) {
  if (events.empty()) return 0;
  std::function<void()> waker;
  bool is_dropped = false;
  {
    const std::lock_guard lock(mutex_);
    is_dropped = abandoned_;
    if (!is_dropped) {
      if (events_.empty()) {
        events_.swap(events);
      } else {
        std::move(events.begin(), events.end(), std::back_inserter(events_));
      }
      waker.swap(waker_);
    }
  }
  const auto num_tokens = std::ranges::count_if(events, HasToken);
  events.clear();
  if (is_dropped) return static_cast<int>(num_tokens);
  arrived_.notify_one();
  if (waker) waker();
  return 0;
}

std::vector<TokenEvent> TokenQueue::Take() {
  std::vector<TokenEvent> taken;
  const std::lock_guard lock(mutex_);
  taken.swap(events_);
  return taken;
}

std::vector<TokenEvent> TokenQueue::Wait() {
  std::vector<TokenEvent> taken;
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return !events_.empty(); });
  taken.swap(events_);
  return taken;
}

void TokenQueue::Arm(std::function<void()> waker) {
  {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) {
      waker_.swap(waker);  // the one replaced is destroyed below, outside the lock
      return;
    }
  }
  waker();
}

void TokenQueue::Abandon() {
  std::vector<TokenEvent> events;  // both are destroyed outside the lock
  std::function<void()> waker;
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  events.swap(events_);
  waker.swap(waker_);
}

}  // namespace runahead
