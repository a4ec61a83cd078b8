#include "server/shutdown_signal.h"

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

ShutdownSignal::~ShutdownSignal() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

ShutdownSignal::Cause ShutdownSignal::Wait() const {
  int number = 0;
  sigwait(&waited_, &number);
  return number == SIGUSR1 ? Cause::kRaised : Cause::kAsked;
}

ShutdownSignal::Cause ShutdownSignal::WaitFor(std::chrono::milliseconds timeout) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec limit{};
  limit.tv_sec = seconds.count();
  limit.tv_nsec = std::chrono::nanoseconds(timeout - seconds).count();
  const int number = sigtimedwait(&waited_, nullptr, &limit);
  if (number < 0) return Cause::kTimedOut;
  return number == SIGUSR1 ? Cause::kRaised : Cause::kAsked;
}

void ShutdownSignal::Raise() const { kill(getpid(), SIGUSR1); }

}  // namespace runahead
