// TimelineRecorder: writes the timelines of the requests that somebody may ask about. Engine thread
// only.
#pragma once

#include <cstdint>
#include <vector>

#include "core/clock.h"
#include "engine/active_request.h"
#include "engine/request_timeline.h"
#include "engine/wait_clock.h"
#include "scheduler/batch.h"

namespace runahead {

// One step, as all its sequences share it.
struct TimelineStep {
  TimePoint end;
  Duration in_model = {};  // the target's run
  Duration drafting = {};  // all drafters
  int num_sequences = 0;
  bool has_prefill = false;  // computes somebody's prompt
};

// One sequence's part of it.
struct TimelineRun {
  int num_tokens = 0;    // q
  int num_drafted = 0;   // k
  int num_computed = 0;  // before the step
  int num_sampled = 0;   // tokens that the model gave
  DrafterKind drafter = DrafterKind::kNone;
  int num_caught_up = 0;
};

// Calls of a turn, in order: BeginTurn, OnSubmit for each request taken, OnSchedule, BeginStep, and
// OnRun for each sequence of the step. OnEnd may come at any time. A request without a slot costs a
// look at a null pointer.
class TimelineRecorder {
 public:
  explicit TimelineRecorder(int block_size);

  void BeginTurn(TimePoint now);
  // Of a request with a slot. `num_ahead`: requests in the queue before it.
  void OnSubmit(ActiveRequest& request, int num_ahead);
  void OnSchedule(const Batch& batch, const ActiveRequests& requests);
  void BeginStep(const TimelineStep& step);
  void OnRun(ActiveRequest& request, const TimelineRun& run, const SequenceProgress& progress);
  // What the model made past a stop or a cancel, found after the step.
  static void CountDiscarded(ActiveRequest& request, int num_tokens);
  // The request is over; a second call only leaves what was counted since.
  void OnEnd(ActiveRequest& request, TimePoint now);

  // RA_CHECKs that the segments divide the time, all of it and none twice.
  static void CheckIntegrity(const ActiveTimeline& timeline);

 private:
  void EndQueue(ActiveTimeline& timeline, int priority);
  void EnterStep(ActiveTimeline& timeline, int priority, TimelineSegment kind);
  void CountRun(ActiveTimeline& timeline, ActiveChoice& choice, const TimelineRun& run,
                const SequenceProgress& progress, TimelineSegment kind);
  void CountDecodeStep(ActiveTimeline& timeline);
  void CountChunk(ActiveTimeline& timeline, const ActiveChoice& choice, const TimelineRun& run,
                  int choice_index);

  const int block_size_;
  WaitClock clock_;
  std::vector<RequestId> submitted_;  // in this turn, with timelines
  TimePoint turn_start_;
  TimelineStep step_;
  uint64_t step_number_ = 0;
};

}  // namespace runahead
