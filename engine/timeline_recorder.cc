#include "engine/timeline_recorder.h"

#include <algorithm>

#include "core/check.h"
#include "engine/timeline_slot.h"

namespace runahead {
namespace {

// How old what is known of a running request may get. A copy costs about what 20 steps' notes do.
constexpr Duration kLeaveEvery = std::chrono::milliseconds(200);

void Book(ActiveTimeline& timeline, TimelineSegment segment, Duration time) {
  timeline.known.of(segment) += time;
  timeline.known.mark += time;
}

void Leave(ActiveTimeline& timeline, const ActiveRequest& request, TimePoint now) {
  timeline.left = now;
  request.request->timeline_slot->Leave(timeline.known);
}

// What goes on while no sequence of a request that has begun runs.
TimelineSegment PauseOf(const ActiveTimeline& timeline) {
  return timeline.num_preempted > 0 ? TimelineSegment::kPreempted : TimelineSegment::kStalled;
}

}  // namespace

TimelineRecorder::TimelineRecorder(int block_size) : block_size_(block_size) {}

void TimelineRecorder::BeginTurn(TimePoint now) {
  turn_start_ = now;
  submitted_.clear();
  clock_.Advance(now);
}

void TimelineRecorder::OnSubmit(ActiveRequest& request, int num_ahead) {
  request.timeline = std::make_unique<ActiveTimeline>();
  ActiveTimeline& timeline = *request.timeline;
  RequestTimeline& known = timeline.known;
  known.submitted = known.mark = request.timings.submitted;
  known.num_ahead = num_ahead;
  known.num_prompt_tokens = request.num_prompt_tokens;
  // Mail that came since the turn began is taken with it.
  timeline.joined = std::max(turn_start_, known.submitted);
  timeline.waited_before = clock_.Read(request.request->priority);
  Book(timeline, TimelineSegment::kQueueStep, timeline.joined - known.submitted);
  submitted_.push_back(request.id);
}

void TimelineRecorder::OnSchedule(const Batch& batch, const ActiveRequests& requests) {
  clock_.Set(batch.waits_for, batch.first_priority);
  // Who asks of one that waits hears why, as of when it came.
  for (const RequestId id : submitted_) {
    const auto found = requests.find(id);
    if (found == requests.end() || batch.waits_for == WaitReason::kNone) continue;
    ActiveTimeline& timeline = *found->second->timeline;
    timeline.known.state = clock_.Current(found->second->request->priority);
    Leave(timeline, *found->second, turn_start_);
  }
  for (const PreemptedSequence& preempted : batch.preempted) {
    ActiveRequest& request = *requests.find(preempted.request)->second;
    if (request.timeline == nullptr) continue;
    RequestTimeline& known = request.timeline->known;
    ++(preempted.for_priority ? known.num_preempted_for_priority : known.num_preempted_for_blocks);
    request.choices[static_cast<size_t>(preempted.choice)].is_preempted = true;
    ++request.timeline->num_preempted;
    known.state = TimelineSegment::kPreempted;
    Leave(*request.timeline, request, turn_start_);
  }
}

void TimelineRecorder::BeginStep(const TimelineStep& step) {
  step_ = step;
  ++step_number_;
}

void TimelineRecorder::OnRun(ActiveRequest& request, const TimelineRun& run,
                             const SequenceProgress& progress) {
  if (request.timeline == nullptr) return;
  ActiveTimeline& timeline = *request.timeline;
  ActiveChoice& choice = request.choices[static_cast<size_t>(progress.choice)];
  TimelineSegment kind = TimelineSegment::kPrefill;
  if (run.num_computed < choice.num_ever_computed) {
    kind = TimelineSegment::kRecompute;
  } else if (run.num_computed >= request.num_prompt_tokens) {
    kind = TimelineSegment::kDecode;
  }
  const bool is_first = timeline.known.scheduled == TimePoint();
  const bool has_waited_for_token = timeline.known.first_token == TimePoint();
  if (timeline.last_step != step_number_) {
    EnterStep(timeline, request.request->priority, kind);
  } else if (kind < timeline.step_kind) {  // another sequence did something better
    timeline.known.of(timeline.step_kind) -= timeline.step_time;
    timeline.known.of(kind) += timeline.step_time;
    timeline.known.state = timeline.step_kind = kind;
  }
  if (is_first) {
    timeline.known.num_cached_tokens = progress.num_cached_tokens;
    timeline.known.num_cached_blocks = progress.num_cached_tokens / block_size_;
  }
  CountRun(timeline, choice, run, progress, kind);
  const bool has_token = has_waited_for_token && timeline.known.first_token != TimePoint();
  if (is_first || has_token || step_.end - timeline.left >= kLeaveEvery) {
    Leave(timeline, request, step_.end);
  }
}

// The request's time up to the turn's start, by what its queue waited for meanwhile.
void TimelineRecorder::EndQueue(ActiveTimeline& timeline, int priority) {
  const WaitClock::Reading now = clock_.Read(priority);
  Duration left = std::max(turn_start_, timeline.joined) - timeline.joined;
  for (size_t i = 0; i < now.size(); ++i) {
    // The first turn's share began with the turn, a moment before mail that came while it was read.
    const Duration waited = std::min(now[i] - timeline.waited_before[i], left);
    Book(timeline, static_cast<TimelineSegment>(i), waited);
    left -= waited;
  }
  Book(timeline, TimelineSegment::kQueueStep, left);
}

void TimelineRecorder::EnterStep(ActiveTimeline& timeline, int priority, TimelineSegment kind) {
  RequestTimeline& known = timeline.known;
  if (known.scheduled == TimePoint()) {
    EndQueue(timeline, priority);
    known.scheduled = known.mark;
  } else {
    const bool ran_before = timeline.last_step + 1 == step_number_;
    Book(timeline, ran_before ? TimelineSegment::kHost : PauseOf(timeline),
         turn_start_ - known.mark);
  }
  Book(timeline, TimelineSegment::kHost, step_.end - known.mark - step_.drafting - step_.in_model);
  Book(timeline, TimelineSegment::kDraft, step_.drafting);
  Book(timeline, kind, step_.in_model);
  timeline.last_step = step_number_;
  timeline.step_kind = known.state = kind;
  timeline.step_time = step_.in_model;
}

void TimelineRecorder::CountRun(ActiveTimeline& timeline, ActiveChoice& choice,
                                const TimelineRun& run, const SequenceProgress& progress,
                                TimelineSegment kind) {
  RequestTimeline& known = timeline.known;
  if (choice.is_preempted) {
    choice.is_preempted = false;
    --timeline.num_preempted;
    known.num_refound_tokens += run.num_computed;
  }
  if (kind == TimelineSegment::kDecode) {
    if (timeline.last_decode_step != step_number_) CountDecodeStep(timeline);
  } else {
    CountChunk(timeline, choice, run, progress.choice);
  }
  const int num_accepted = std::max(run.num_sampled - 1, 0);
  choice.num_ever_computed = std::max(
      choice.num_ever_computed, run.num_computed + run.num_tokens - run.num_drafted + num_accepted);
  RequestTimeline::Drafts& drafts = known.drafts[static_cast<size_t>(run.drafter)];
  drafts.num_drafted += run.num_drafted;
  drafts.num_accepted += num_accepted;
  known.num_caught_up_tokens += run.num_caught_up;
  known.num_generated_tokens += progress.num_emitted;
  known.num_discarded_tokens += run.num_sampled - progress.num_emitted;
  if (progress.num_emitted > 0 && known.first_token == TimePoint()) known.first_token = step_.end;
}

void TimelineRecorder::CountDecodeStep(ActiveTimeline& timeline) {
  RequestTimeline& known = timeline.known;
  timeline.last_decode_step = step_number_;
  const int batch = step_.num_sequences;
  known.min_batch = known.num_decode_steps == 0 ? batch : std::min(known.min_batch, batch);
  known.max_batch = std::max(known.max_batch, batch);
  known.sum_batch += batch;
  ++known.num_decode_steps;
  if (!step_.has_prefill) return;
  ++known.num_steps_beside_prefill;
  known.time_beside_prefill += step_.in_model;
}

void TimelineRecorder::CountChunk(ActiveTimeline& timeline, const ActiveChoice& choice,
                                  const TimelineRun& run, int choice_index) {
  RequestTimeline& known = timeline.known;
  const int num_again = std::clamp(choice.num_ever_computed - run.num_computed, 0, run.num_tokens);
  known.num_recomputed_tokens += num_again;
  known.num_prefill_tokens += run.num_tokens - num_again;
  const int at = known.num_chunks++;
  if (at >= kMaxTimelineChunks) return;
  known.chunks[static_cast<size_t>(at)] = {
      .choice = choice_index,
      .num_tokens = run.num_tokens,
      .num_sequences = step_.num_sequences,
      .is_again = num_again > 0,
      .at = std::max(turn_start_, timeline.joined) - known.submitted,
      .time = step_.in_model};
}

void TimelineRecorder::CountDiscarded(ActiveRequest& request, int num_tokens) {
  if (request.timeline != nullptr) request.timeline->known.num_discarded_tokens += num_tokens;
}

void TimelineRecorder::OnEnd(ActiveRequest& request, TimePoint now) {
  if (request.timeline == nullptr) return;
  ActiveTimeline& timeline = *request.timeline;
  RequestTimeline& known = timeline.known;
  if (!known.has_ended) {
    known.has_ended = true;
    TimelineSegment last = TimelineSegment::kQueueStep;
    if (known.scheduled == TimePoint()) {
      EndQueue(timeline, request.request->priority);
    } else {
      last = timeline.last_step == step_number_ ? TimelineSegment::kHost : PauseOf(timeline);
    }
    Book(timeline, last, std::max(now - known.mark, Duration()));
  }
  Leave(timeline, request, now);
}

void TimelineRecorder::CheckIntegrity(const ActiveTimeline& timeline) {
  const RequestTimeline& known = timeline.known;
  RA_CHECK(known.total() == known.mark - known.submitted, "the segments are no partition");
  for (const Duration time : known.segments) RA_CHECK(time >= Duration());
}

}  // namespace runahead
