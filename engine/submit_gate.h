// SubmitGate: decides, without asking the engine thread, whether one more request may wait.
// Thread-safe, lock-free.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace runahead {

// Requests are numbered as they enter. The engine thread publishes the number up to which they may,
// so there is one value to compare with and no count whose decrement could be lost:
//
//   entered:  1 2 3 4 5 6 7 8 | 9 10      limit = num_admitted + (max_waiting - num_waiting)
//             admitted ^        ^ on their way
class SubmitGate {
 public:
  explicit SubmitGate(int max_waiting)
      : max_waiting_(static_cast<uint64_t>(max_waiting)), limit_(max_waiting_) {}

  // Any thread. True: the caller now sends the request.
  bool TryEnter() {
    uint64_t entered = entered_.load();
    do {
      if (entered >= limit_.load()) return false;
    } while (!entered_.compare_exchange_weak(entered, entered + 1));
    return true;
  }

  // Engine thread: of the requests that entered, it has taken over the first num_admitted, and
  // num_waiting of those wait in its queue.
  void Publish(uint64_t num_admitted, uint64_t num_waiting) {
    limit_.store(num_admitted + max_waiting_ - std::min(max_waiting_, num_waiting));
  }

 private:
  const uint64_t max_waiting_;
  std::atomic<uint64_t> entered_ = 0;
  std::atomic<uint64_t> limit_;
};

}  // namespace runahead
