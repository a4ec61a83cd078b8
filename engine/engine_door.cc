#include "engine/engine_door.h"

#include <utility>

#include "engine/validate.h"

namespace runahead {

EngineDoor::EngineDoor(const EngineConfig& config, const Clock& clock, Metrics& metrics)
    : config_(config),
      clock_(clock),
      metrics_(metrics),
      mailbox_(std::make_shared<EngineMailbox>()),
      gate_(config.max_queue) {}

Result<std::unique_ptr<ResponseStream>> EngineDoor::Submit(std::unique_ptr<Request> request) {
  const Status refusal = Admit(*request);
  if (!refusal.ok()) {
    metrics_.CountRejected(RejectReasonOf(refusal));
    return refusal;
  }
  metrics_.CountSubmitted();
  const RequestId id{next_id_.fetch_add(1)};
  auto queue = std::make_shared<TokenQueue>();
  auto stream = std::make_unique<ResponseStream>(queue, request->num_choices,
                                                 ControlOf(id, request->may_finish_early));
  mailbox_->Send(SubmitMessage{id, std::move(request), std::move(queue), clock_.Now()});
  return stream;
}

void EngineDoor::Drain(TimePoint deadline) {
  status_.BeginDrain();
  mailbox_->Send(DrainMessage{deadline});
}

void EngineDoor::Stop() { mailbox_->Send(StopMessage{}); }

Status EngineDoor::Admit(const Request& request) {
  if (!status_.accepts_requests()) {
    const bool failed = status_.phase() == EnginePhase::kFailed;
    return {StatusCode::kUnavailable,
            failed ? "the engine has failed" : "the server is shutting down"};
  }
  RA_RETURN_IF_ERROR(ValidateRequest(config_, request));
  if (gate_.TryEnter()) return {};
  return {StatusCode::kResourceExhausted, "too many requests wait already; try again later"};
}

ResponseStream::Control EngineDoor::ControlOf(RequestId id, bool may_finish_early) const {
  ResponseStream::Control control;
  control.cancel = [mailbox = mailbox_, id] { mailbox->Send(CancelMessage{id}); };
  control.finish = [mailbox = mailbox_, id](int choice, int num_tokens) {
    mailbox->Send(FinishMessage{id, choice, num_tokens});
  };
  if (may_finish_early) {
    control.settle = [mailbox = mailbox_, id] { mailbox->Send(SettleMessage{id}); };
  }
  return control;
}

}  // namespace runahead
