// ResponseStream: the consumer's end of one request's token queue. One I/O thread at a time; the
// engine is the other side.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/request.h"

namespace runahead {

class TokenQueue;  // the shared middle: a mutex-guarded vector and a waker

// Destroying the stream before every choice finished cancels the request. Destroy it as soon as the
// last event was handled: with Request::may_finish_early that settles the outcome.
class ResponseStream {
 public:
  // What the stream tells the engine: called from the consumer's thread, must not block.
  struct Control {
    std::function<void()> cancel;
    std::function<void(int choice, int num_tokens)> finish;
    std::function<void()> settle;  // may be empty: no Finish will come any more
  };

  ResponseStream(std::shared_ptr<TokenQueue> queue, int num_choices, Control control);
  ~ResponseStream();
  ResponseStream(const ResponseStream&) = delete;
  ResponseStream& operator=(const ResponseStream&) = delete;

  // Everything that waits, in order; never blocks.
  std::vector<TokenEvent> Take();

  // `waker` is called by the engine thread (once, then disarmed) as soon as events wait, at once
  // when some do already; it must only post to an executor. Arm again after each Take.
  void Arm(std::function<void()> waker);

  // Blocks until events wait, and returns none once every choice has finished; for tests, offline
  // benches and simple clients.
  std::vector<TokenEvent> Wait();

  // A stop string matched: the choice ends, with reason stop, after its first `num_tokens` tokens.
  // What the engine ran past them is counted as discarded. No further events of the choice matter.
  void Finish(int choice, int num_tokens);

  bool finished() const;  // every choice has finished, by event or by Finish

 private:
  // Drops events of choices that are done, and marks those that end.
  std::vector<TokenEvent> StillWanted(std::vector<TokenEvent> events);

  std::shared_ptr<TokenQueue> queue_;  // shared with the engine, which may outlive or predecease us
  std::vector<bool> done_;
  Control control_;
};

}  // namespace runahead
