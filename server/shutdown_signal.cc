#include "server/shutdown_signal.h"

#include <pthread.h>
#include <unistd.h>

#include <initializer_list>

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

void ShutdownSignal::Raise() const { kill(getpid(), SIGUSR1); }

}  // namespace runahead
