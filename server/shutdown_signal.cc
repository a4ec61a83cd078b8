#include "server/shutdown_signal.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <initializer_list>

#include <pthread.h>
#include <unistd.h>

namespace runahead {

ShutdownSignal::ShutdownSignal() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&waited_);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&waited_, number);
  pthread_sigmask(SIG_BLOCK, &waited_, &before_);
}

ShutdownSignal::~ShutdownSignal() {
  // Asked again while it was ending anyway: that must not turn a clean end into a death by signal.
  constexpr timespec kAtOnce{};
  while (sigtimedwait(&waited_, nullptr, &kAtOnce) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

ShutdownSignal::Cause ShutdownSignal::Wait() const {
  int number = 0;
  sigwait(&waited_, &number);
  return number == SIGUSR1 ? Cause::kRaised : Cause::kAsked;
}

ShutdownSignal::Cause ShutdownSignal::WaitFor(std::chrono::milliseconds timeout) const {
  using Steady = std::chrono::steady_clock;
  const Steady::time_point end = Steady::now() + timeout;
  for (;;) {
    const auto left = std::max(Steady::duration::zero(), end - Steady::now());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timespec limit{};
    limit.tv_sec = seconds.count();
    limit.tv_nsec = std::chrono::nanoseconds(left - seconds).count();
    const int number = sigtimedwait(&waited_, nullptr, &limit);
    if (number >= 0) return number == SIGUSR1 ? Cause::kRaised : Cause::kAsked;
    if (errno != EINTR) return Cause::kTimedOut;  // a stop and continue of the process interrupts
  }
}

void ShutdownSignal::Raise() const { kill(getpid(), SIGUSR1); }

}  // namespace runahead
