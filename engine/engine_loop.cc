#include "engine/engine_loop.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/check.h"
#include "engine/sequence_run.h"

namespace runahead {
namespace {

SchedulerConfig SchedulerConfigOf(const EngineConfig& config) {
  return {.max_num_seqs = config.max_num_seqs,
          .max_num_batched_tokens = config.max_num_batched_tokens,
          .max_logit_rows = config.max_logit_rows,
          .max_context = config.max_context,
          .batch_wait = config.batch_wait};
}

FinishReason FinishReasonOf(EndReason reason) {
  switch (reason) {
    case EndReason::kNone:
      return FinishReason::kNone;
    case EndReason::kStop:
      return FinishReason::kStop;
    case EndReason::kLength:
      return FinishReason::kLength;
    case EndReason::kExpired:
      return FinishReason::kExpired;
    case EndReason::kFailed:
      return FinishReason::kFailed;
  }
  return FinishReason::kFailed;
}

}  // namespace

EngineLoop::EngineLoop(const EngineConfig& config, const EngineParts& parts, uint64_t entropy)
    : config_(config),
      parts_(parts),
      pool_(config.num_blocks, config.block_size),
      cache_(pool_, config.enable_prefix_cache, entropy),
      scheduler_(SchedulerConfigOf(config), pool_, cache_),
      speculator_(config, parts.speculation, parts.clock, parts.logger),
      timelines_(config.block_size),
      seeds_(entropy) {
  const auto push = [this] { PushEvents(); };
  pushes_meanwhile_ = parts_.runner.DoMeanwhile(push);
  if (parts_.speculation.model != nullptr) parts_.speculation.model->DoMeanwhile(push);
  Commit();
}

EngineLoop::~EngineLoop() {
  parts_.runner.DoMeanwhile({});
  if (parts_.speculation.model != nullptr) parts_.speculation.model->DoMeanwhile({});
}

bool EngineLoop::RunOnce() {
  try {
    return Turn();
  } catch (const std::exception& error) {
    parts_.status.Fail();
    turn_.num_sequences = 0;  // a step that threw is no step
    FailAll(std::string("the engine failed: ") + error.what(), parts_.clock.Now());
    Commit();
    parts_.status.EndStep();
    wait_until_ = kNoDeadline;
    return false;
  }
}

bool EngineLoop::Turn() {
  const TimePoint now = parts_.clock.Now();
  turn_ = {.start = now};
  parts_.status.BeginStep(now);
  timelines_.BeginTurn(now);
  bool has_news = DrainMailbox();
  EndDrain(now);
  bool has_more = false;
  wait_until_ = kNoDeadline;
  if (!parts_.status.has_ended() && !stop_asked_) {
    const std::span<const DraftLimit> limits = speculator_.Decide(scheduler_, active_);
    Batch batch = scheduler_.Schedule(now, limits);
    timelines_.OnSchedule(batch, active_);
    ReportEnded(batch, now);
    has_news = has_news || !batch.ended.empty();
    if (!batch.empty()) {
      if (has_news) CommitNews();
      RunStep(batch);
    }
    has_more = !batch.empty() || !batch.ended.empty();
    wait_until_ = std::min(batch.wait_until, drain_deadline_);
  }
  CommitCounts();
  const bool ran_step = turn_.num_sequences > 0;
  if (!ran_step || !pushes_meanwhile_) PushNow();
  if (drain_asked_ && active_.empty() && settling_.empty()) {
    PushNow();  // who waits for the end may take the front ends down
    parts_.status.Stop();
  }
  parts_.status.EndStep();
  return has_more;
}

void EngineLoop::Shutdown() {
  DrainMailbox();
  parts_.status.Stop();
  FailAll("the server is shutting down", parts_.clock.Now());
  Commit();
}

void EngineLoop::RunStep(Batch& batch) {
  const Duration copying = CopyBlocks(batch);
  speculator_.Draft(batch, active_);
  const std::span<const SequenceRun> runs = RunsOf(batch);

  const TimePoint before = parts_.clock.Now();
  const ModelOutput& output = parts_.runner.Run(runs);
  const TimePoint after = parts_.clock.Now();
  turn_.in_runner = copying + speculator_.model_time() + (after - before);

  for (size_t s = 0; s < runs.size(); ++s) {
    if (!runs[s].wants_prompt_logprobs) continue;
    const ScheduledSequence& scheduled = batch.sequences[s];
    TakePromptLogprobs(scheduled, output.prompt_logprobs[s], *Find(scheduled.sequence->request()));
  }
  const Progress progress = scheduler_.Apply(batch, output.token_ids, output.offsets);
  speculator_.Observe(progress, output, after - before, ledger_);
  NoteStep(runs, after - before, after);
  Publish(progress, output, after);
}

// The runs' spans are stale by now, but not how long they were.
void EngineLoop::NoteStep(std::span<const SequenceRun> runs, Duration in_model, TimePoint end) {
  const auto is_prefill = [](const SequenceRun& run) {
    return !run.wants_token || static_cast<int>(run.tokens.size()) > 1 + run.num_drafts;
  };
  timelines_.BeginStep({.end = end,
                        .in_model = in_model,
                        .drafting = speculator_.draft_time(),
                        .num_sequences = turn_.num_sequences,
                        .has_prefill = std::ranges::any_of(runs, is_prefill)});
}

Duration EngineLoop::CopyBlocks(const Batch& batch) {
  if (batch.copy_from.empty()) return {};
  const TimePoint start = parts_.clock.Now();
  parts_.runner.CopyBlocks(batch.copy_from, batch.copy_to);
  speculator_.CopyBlocks(batch);
  return parts_.clock.Now() - start;
}

std::span<const SequenceRun> EngineLoop::RunsOf(const Batch& batch) {
  runs_.clear();
  turn_.num_sequences = static_cast<int>(batch.sequences.size());
  for (const ScheduledSequence& scheduled : batch.sequences) {
    const StepDraft draft = speculator_.drafted(runs_.size());
    runs_.push_back(RunOf(scheduled, *Find(scheduled.sequence->request())));
    runs_.back().draft_rows = draft.rows;
    turn_.num_tokens += scheduled.num_tokens;
  }
  return runs_;
}

void EngineLoop::Publish(const Progress& progress, const ModelOutput& output, TimePoint now) {
  for (size_t s = 0; s < progress.sequences.size(); ++s) {
    const SequenceProgress& sequence = progress.sequences[s];
    const int num_sampled = output.offsets[s + 1] - output.offsets[s];
    ledger_.CountGenerated(num_sampled);
    if (num_sampled > 0) ledger_.CountRun(sequence.num_emitted);
    PublishSequence(sequence, output, s, now);
    if (sequence.request_ended) EndRequest(sequence.request, RequestPhase::kRunning, now);
  }
}

void EngineLoop::PublishSequence(const SequenceProgress& progress, const ModelOutput& output,
                                 size_t s, TimePoint now) {
  ActiveRequest& request = *Find(progress.request);
  CountTokens(request, progress, now);
  const bool wants_logprobs = request.request->sampling.num_logprobs >= 0;
  const auto first = static_cast<size_t>(output.offsets[s]);
  const StepDraft draft = speculator_.drafted(s);
  timelines_.OnRun(request,
                   {.num_tokens = static_cast<int>(runs_[s].tokens.size()),
                    .num_drafted = draft.num_drafted,
                    .num_computed = runs_[s].num_computed,
                    .num_sampled = output.offsets[s + 1] - output.offsets[s],
                    .drafter = draft.drafter,
                    .num_caught_up = draft.num_caught_up},
                   progress);
  for (int i = 0; i < progress.num_emitted; ++i) {
    const size_t at = first + static_cast<size_t>(i);
    TokenEvent& event = request.AddEvent(progress.choice, now);
    event.token = output.token_ids[at];
    if (i < progress.num_accepted) event.drafted_by = draft.drafter;
    event.starts_step = i == 0;
    if (event.starts_step) {
      event.step_drafter = draft.drafter;
      event.num_drafted = draft.num_drafted;
    }
    if (wants_logprobs) event.logprobs = output.logprobs[at];
  }
  if (progress.end != EndReason::kNone) {
    TokenEvent& last =
        progress.num_emitted > 0 ? request.events.back() : request.AddEvent(progress.choice, now);
    last.finish = FinishReasonOf(progress.end);
    last.stop_token = progress.stop_token;
    request.choices[static_cast<size_t>(progress.choice)].finish = last.finish;
  }
  if (!request.events.empty()) Touch(request);
}

void EngineLoop::CountTokens(ActiveRequest& request, const SequenceProgress& progress,
                             TimePoint now) {
  if (!request.has_started()) {
    request.timings.scheduled = turn_.start;
    request.num_cached_tokens = progress.num_cached_tokens;
    ledger_.CountScheduled(request);
  }
  if (progress.num_emitted == 0) return;
  if (!request.has_token()) {
    request.timings.first_token = now;
    ledger_.CountFirstToken(request);
  }
  ActiveChoice& choice = request.choices[static_cast<size_t>(progress.choice)];
  if (choice.num_tokens > 0) {
    ledger_.CountGap(now - choice.last_token, progress.num_emitted);
  } else if (progress.num_emitted > 1) {
    ledger_.CountFirstGap(progress.num_emitted - 1);
  }
  choice.num_tokens += progress.num_emitted;
  choice.last_token = now;
}

void EngineLoop::ReportEnded(const Batch& batch, TimePoint now) {
  for (const EndedSequence& ended : batch.ended) {
    ActiveRequest& request = *Find(ended.request);
    request.ended_running = request.ended_running || ended.was_running;
    Touch(request);
    const Status error =
        ended.reason == EndReason::kExpired
            ? Status(StatusCode::kDeadlineExceeded, "the request's deadline has passed")
            : Status(StatusCode::kResourceExhausted, "the whole KV cache of " +
                                                         std::to_string(config_.num_blocks) +
                                                         " blocks is too small for this request");
    request.AddFinish(ended.choice, FinishReasonOf(ended.reason), error, now);
    if (ended.request_ended) EndRequest(ended.request, PhaseOf(request.ended_running), now);
  }
}

void EngineLoop::EndRequest(RequestId id, RequestPhase phase, TimePoint now) {
  const auto found = active_.find(id);
  RA_CHECK(found != active_.end());
  std::unique_ptr<ActiveRequest> request = std::move(found->second);
  active_.erase(found);
  const FinishReason outcome = request->Outcome();
  timelines_.OnEnd(*request, now);
  const bool may_change = outcome == FinishReason::kStop || outcome == FinishReason::kLength;
  if (request->request->may_finish_early && may_change && !request->AllCut()) {
    settling_.emplace(id, std::move(request));
  } else {
    CountEnd(std::move(request), outcome, phase, now);
  }
}

void EngineLoop::CountEnd(std::unique_ptr<ActiveRequest> request, FinishReason outcome,
                          RequestPhase phase, TimePoint now) {
  ledger_.CountOutcome(*request, outcome, phase, now);
  timelines_.OnEnd(*request, now);
  ended_.push_back(std::move(request));
}

void EngineLoop::Settle(RequestId id, TimePoint now) {
  const auto found = settling_.find(id);
  if (found == settling_.end()) return;
  std::unique_ptr<ActiveRequest> request = std::move(found->second);
  settling_.erase(found);
  const FinishReason outcome = request->Outcome();
  CountEnd(std::move(request), outcome, RequestPhase::kRunning, now);
}

void EngineLoop::FailAll(const std::string& why, TimePoint now) {
  if (!active_.empty()) parts_.logger.Log(LogLevel::kError, why);
  const Status error(StatusCode::kUnavailable, why);
  for (auto& [id, request] : active_) {
    Touch(*request);
    for (int choice = 0; choice < request->request->num_choices; ++choice) {
      if (request->choices[static_cast<size_t>(choice)].finish != FinishReason::kNone) continue;
      request->AddFinish(choice, FinishReason::kFailed, error, now);
    }
    CountEnd(std::move(request), FinishReason::kFailed, RequestPhase::kRunning, now);
  }
  active_.clear();
  while (!settling_.empty()) Settle(settling_.begin()->first, now);
}

void EngineLoop::EndDrain(TimePoint now) {
  if (!drain_asked_ || now < drain_deadline_ || parts_.status.has_ended()) return;
  for (const auto& [id, request] : active_) (void)scheduler_.Cancel(id);
  FailAll("the server shut down before the request was done", now);
}

void EngineLoop::Commit() {
  CommitCounts();
  PushNow();
}

// Before a step: nobody should wait for it to hear of what came before, except for the last step's
// events, which the device has time for.
void EngineLoop::CommitNews() {
  CommitCounts();
  if (!pushes_meanwhile_ || !ended_.empty()) PushNow();
}

void EngineLoop::CommitCounts() {
  const EngineGauges gauges = Gauges();
  parts_.gate.Publish(num_admitted_, gauges.waiting);
  const TimePoint end = parts_.clock.Now();
  if (turn_.num_sequences > 0) {
    const Duration total = end - turn_.start + carried_host_;
    ledger_.CountStep(turn_.num_sequences, turn_.num_tokens, total, total - turn_.in_runner);
    carried_host_ = {};
  }
  const uint64_t num_discarded = scheduler_.counters().discarded_tokens;
  ledger_.CountDiscarded(static_cast<int>(num_discarded - num_discarded_by_scheduler_));
  num_discarded_by_scheduler_ = num_discarded;
  ledger_.Commit(gauges, parts_.metrics);
}

void EngineLoop::PushNow() {
  const TimePoint start = parts_.clock.Now();
  PushEvents();
  if (turn_.num_sequences > 0) carried_host_ += parts_.clock.Now() - start;
}

EngineGauges EngineLoop::Gauges() const {
  const SchedulerCounters& counters = scheduler_.counters();
  EngineGauges gauges = {.num_blocks = pool_.num_blocks(),
                         .used_blocks = pool_.num_used(),
                         .cached_blocks = pool_.num_cached(),
                         .preemptions = counters.preemptions,
                         .prefix_query_tokens = counters.prefix_query_tokens,
                         .prefix_hit_tokens = counters.prefix_hit_tokens};
  if (!parts_.status.has_ended()) {  // else nothing runs or waits, whatever a broken step left
    gauges.waiting = static_cast<uint64_t>(scheduler_.num_waiting());
    gauges.running = static_cast<uint64_t>(scheduler_.num_running()) + settling_.size();
  }
  speculator_.FillGauges(gauges);
  return gauges;
}

void EngineLoop::PushEvents() {
  for (ActiveRequest* request : touched_) {
    request->is_touched = false;
    request->num_dropped += request->queue->Push(request->events);
  }
  touched_.clear();
  ended_.clear();
}

ActiveRequest* EngineLoop::Find(RequestId id) const {
  const auto found = active_.find(id);
  return found == active_.end() ? nullptr : found->second.get();
}

void EngineLoop::Touch(ActiveRequest& request) {
  if (!request.is_touched) touched_.push_back(&request);
  request.is_touched = true;
}

void EngineLoop::CheckIntegrity() const {
  if (parts_.status.has_ended()) {
    RA_CHECK(active_.empty() && settling_.empty());
    return;
  }
  scheduler_.CheckIntegrity();
  RA_CHECK_EQ(static_cast<int>(active_.size()),
              scheduler_.num_running() + scheduler_.num_waiting());
  RA_CHECK(pushes_meanwhile_ || (touched_.empty() && ended_.empty()));
  for (const auto& [id, request] : active_) {
    RA_CHECK(request->id == id && request->events.empty() == !request->is_touched);
    RA_CHECK(request->Outcome() == FinishReason::kNone || request->choices.size() > 1);
    if (request->timeline != nullptr) TimelineRecorder::CheckIntegrity(*request->timeline);
  }
  for (const auto& [id, request] : settling_) {
    RA_CHECK(request->request->may_finish_early && !request->AllCut());
  }
}

}  // namespace runahead
