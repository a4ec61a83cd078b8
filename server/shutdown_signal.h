// ShutdownSignal: SIGTERM and SIGINT as something the main thread waits for. Made before any other
// thread; Raise is thread-safe, Wait is the main thread's.
#pragma once

#include <chrono>
#include <csignal>

namespace runahead {

// Blocks the signals for the process while it lives, and ignores SIGPIPE: a peer that closes is an
// error of one write.
class ShutdownSignal {
 public:
  enum class Cause { kAsked, kRaised, kTimedOut };

  ShutdownSignal();
  ~ShutdownSignal();
  ShutdownSignal(const ShutdownSignal&) = delete;
  ShutdownSignal& operator=(const ShutdownSignal&) = delete;

  // Blocks until SIGTERM or SIGINT (kAsked), or Raise.
  Cause Wait() const;
  // Likewise, or kTimedOut once `timeout` has passed.
  Cause WaitFor(std::chrono::milliseconds timeout) const;
  void Raise() const;

 private:
  sigset_t waited_;
  sigset_t before_;
};

}  // namespace runahead
