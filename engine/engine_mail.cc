// What messages do to the loop: requests come, clients leave or stop early. Of EngineLoop.
#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "core/check.h"
#include "engine/engine_loop.h"

namespace runahead {

bool EngineLoop::DrainMailbox() {
  std::vector<Message> messages = parts_.mailbox.Take();
  for (Message& message : messages) {
    std::visit([this](auto& content) { On(content); }, message);
  }
  return !messages.empty();
}

void EngineLoop::On(SubmitMessage& message) {
  ++num_admitted_;
  ledger_.CountAdmitted();
  auto request = std::make_unique<ActiveRequest>();
  request->id = message.id;
  request->num_prompt_tokens = static_cast<int>(message.request->prompt.size());
  request->queue = std::move(message.queue);
  request->timings.submitted = message.submitted;
  request->choices.resize(static_cast<size_t>(message.request->num_choices));
  request->request = std::move(message.request);
  if (request->request->timeline_slot != nullptr) {
    timelines_.OnSubmit(*request, scheduler_.num_waiting());
  }

  Status refusal;
  if (parts_.status.has_ended()) {
    refusal = Status(StatusCode::kUnavailable, "the engine no longer runs");
  } else {
    DrawSeed(*request->request);
    refusal = scheduler_.Add(SpecOf(message.id, *request->request, message.submitted));
  }
  if (refusal.ok()) {
    speculator_.Prepare(*request);
    active_.emplace(message.id, std::move(request));
    return;
  }
  const TimePoint now = parts_.clock.Now();
  Touch(*request);
  for (int choice = 0; choice < request->request->num_choices; ++choice) {
    request->AddFinish(choice, FinishReason::kFailed, refusal, now);
  }
  CountEnd(std::move(request), FinishReason::kFailed, RequestPhase::kQueued, now);
}

void EngineLoop::DrawSeed(Request& request) {
  // 53 bits, so that a client can give the logged seed back as a JSON number.
  const uint64_t seed = request.seed.has_value() ? *request.seed : seeds_() >> 11;
  request.sampling.seed = seed;
  if (request.seed.has_value() || request.sampling.IsGreedy()) return;
  parts_.logger.Log(LogLevel::kInfo,
                    "request " + request.id + " drew seed " + std::to_string(seed));
}

RequestSpec EngineLoop::SpecOf(RequestId id, Request& request, TimePoint arrival) const {
  RequestSpec spec = {.id = id,
                      .prompt = std::move(request.prompt),
                      .num_choices = request.num_choices,
                      .max_tokens = request.max_tokens,
                      .min_tokens = request.min_tokens,
                      .stop_ids = request.stop_token_ids,
                      .priority = request.priority,
                      .arrival = arrival,
                      .deadline = request.deadline,
                      .cache_salt = request.cache_salt,
                      .looks_up_prefix = request.sampling.num_prompt_logprobs < 0};
  if (!request.ignore_eos) {
    std::ranges::copy(config_.eos_token_ids, std::back_inserter(spec.stop_ids));
  }
  std::ranges::sort(spec.stop_ids);
  spec.stop_ids.erase(std::unique(spec.stop_ids.begin(), spec.stop_ids.end()), spec.stop_ids.end());
  return spec;
}

void EngineLoop::On(const FinishMessage& message) {
  const auto settling = settling_.find(message.id);
  ActiveRequest* request = settling != settling_.end() ? settling->second.get() : Find(message.id);
  if (request == nullptr) return;  // over before the message came, and counted
  ActiveChoice& choice = request->choices[static_cast<size_t>(message.choice)];
  RA_CHECK(!choice.was_cut && message.num_tokens <= choice.num_tokens);
  const int num_surplus = choice.num_tokens - message.num_tokens;
  timelines_.CountDiscarded(*request, num_surplus);
  choice.num_tokens = message.num_tokens;
  choice.was_cut = true;
  const bool was_over = choice.finish != FinishReason::kNone;
  choice.finish = FinishReason::kStop;
  const TimePoint now = parts_.clock.Now();
  if (was_over) {
    ledger_.CountDiscarded(num_surplus);
    if (settling != settling_.end() && request->AllCut()) Settle(message.id, now);
  } else {  // the scheduler counts the surplus
    const RemovedRequest removed =
        scheduler_.Finish(message.id, message.choice, message.num_tokens);
    if (removed.request_ended) EndRequest(message.id, PhaseOf(removed.was_running), now);
  }
}

void EngineLoop::On(const CancelMessage& message) {
  const TimePoint now = parts_.clock.Now();
  Settle(message.id, now);  // the engine was done before the client went
  const auto found = active_.find(message.id);
  if (found == active_.end()) return;
  if (found->second->is_touched) PushNow();  // what it drops is counted below
  const RemovedRequest removed = scheduler_.Cancel(message.id);
  std::unique_ptr<ActiveRequest> request = std::move(found->second);
  active_.erase(found);
  ledger_.CountDiscarded(request->num_dropped);
  timelines_.CountDiscarded(*request, request->num_dropped);
  CountEnd(std::move(request), FinishReason::kCancelled, PhaseOf(removed.was_running), now);
}

void EngineLoop::On(const SettleMessage& message) { Settle(message.id, parts_.clock.Now()); }

void EngineLoop::On(const DrainMessage& message) {
  drain_asked_ = true;
  drain_deadline_ = std::min(drain_deadline_, message.deadline);
}

void EngineLoop::On(const StopMessage&) { stop_asked_ = true; }

}  // namespace runahead
