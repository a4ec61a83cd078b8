// TokenQueue: the middle of a response stream; the engine pushes, one consumer takes. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "engine/request.h"

namespace runahead {

// Its mutex is held to move events only, never while the waker runs (docs/contract.md). It never
// holds more than n x max_tokens tokens, so a push never waits for a slow reader.
class TokenQueue {
 public:
  // Engine thread. Moves `events` in and leaves it empty with its capacity; one lock, at most one
  // call of the waker. Events for a consumer that has gone are dropped: returns their tokens'
  // number.
  int Push(std::vector<TokenEvent>& events);

  // Consumer. Everything that waits, in order; never blocks.
  std::vector<TokenEvent> Take();
  // Consumer. Blocks until events wait.
  std::vector<TokenEvent> Wait();
  // Consumer. `waker` runs once: now, on this thread, when events wait already; else from the next
  // Push.
  void Arm(std::function<void()> waker);
  // Consumer. Nobody will take again; a waker not yet begun never runs.
  void Abandon();

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<TokenEvent> events_;
  std::function<void()> waker_;
  bool abandoned_ = false;
};

}  // namespace runahead
