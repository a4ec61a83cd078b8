// Message: what other threads tell the engine thread. Value types.
#pragma once

#include <memory>
#include <variant>

#include "core/clock.h"
#include "core/mailbox.h"
#include "engine/request.h"
#include "engine/token_queue.h"
#include "scheduler/sequence.h"

namespace runahead {

struct SubmitMessage {
  RequestId id = {};
  std::unique_ptr<Request> request;
  std::shared_ptr<TokenQueue> queue;
  TimePoint submitted;
};

struct FinishMessage {
  RequestId id = {};
  int choice = 0;
  int num_tokens = 0;
};

struct CancelMessage {
  RequestId id = {};
};

// The stream of a request that may finish early is gone: no Finish will come.
struct SettleMessage {
  RequestId id = {};
};

struct DrainMessage {
  TimePoint deadline;
};

struct StopMessage {};

using Message = std::variant<SubmitMessage, FinishMessage, CancelMessage, SettleMessage,
                             DrainMessage, StopMessage>;
using EngineMailbox = Mailbox<Message>;

}  // namespace runahead
