// ActiveRequest: what the engine remembers of a request until its outcome is counted. Engine thread
// only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/logprobs.h"
#include "engine/request.h"
#include "engine/request_timeline.h"
#include "engine/token_queue.h"
#include "model/token_counts.h"
#include "scheduler/sequence.h"
#include "speculative/draft_policy.h"
#include "speculative/draft_state.h"

namespace runahead {

struct ActiveChoice {
  int num_tokens = 0;  // published, less those past a Finish
  FinishReason finish = FinishReason::kNone;
  bool was_cut = false;  // by Finish
  TimePoint last_token;
  TokenCounts token_counts;                 // for the penalties, kept up by the runner
  std::unique_ptr<DraftState> draft_state;  // null: nothing is drafted for it
  DraftChoice draft_choice;                 // of the last step that was to draft or to catch up
  // For the timeline alone.
  int num_ever_computed = 0;
  bool is_preempted = false;
};

// A timeline in the making, and what only its recorder needs.
struct ActiveTimeline {
  RequestTimeline known;
  TimePoint joined;  // the queue: not before the turn that took its message
  std::array<Duration, kNumQueueSegments> waited_before = {};  // the wait clock, when it joined
  uint64_t last_step = 0;                                      // that ran a sequence of it
  uint64_t last_decode_step = 0;
  TimelineSegment step_kind = {};  // of the last step
  Duration step_time = {};         // booked for it
  int num_preempted = 0;           // choices, now
  TimePoint left;                  // when a copy was last left
};

struct ActiveRequest {
  RequestId id = {};
  std::unique_ptr<Request> request;  // its prompt has moved on to the scheduler
  int num_prompt_tokens = 0;
  std::shared_ptr<TokenQueue> queue;  // shared with the consumer, who may leave first
  RequestTimings timings;
  std::vector<ActiveChoice> choices;
  // Of prompt tokens 1.., as far as they have been judged, until choice 0's first event takes them.
  std::vector<PositionLogprobs> prompt_logprobs;
  int num_prompt_logprobs = 0;    // judged so far
  bool sent_first_event = false;  // of choice 0
  int num_cached_tokens = 0;
  bool ended_running = false;                // for the phase of an expired request
  int num_dropped = 0;                       // tokens pushed after the consumer had gone
  std::vector<TokenEvent> events;            // of this step, not yet pushed
  bool is_touched = false;                   // the loop's list of those with events names it
  std::unique_ptr<ActiveTimeline> timeline;  // null: nobody will ask

  bool has_started() const { return timings.scheduled != TimePoint(); }
  bool has_token() const { return timings.first_token != TimePoint(); }

  // Appends an event of the choice; with a finish, the choice is over.
  TokenEvent& AddEvent(int choice, TimePoint now);
  void AddFinish(int choice, FinishReason finish, Status error, TimePoint now);

  // The request's outcome, once all its choices are over: the worst of theirs.
  FinishReason Outcome() const;
  bool AllCut() const;
  int NumTokens() const;           // of all choices
  int NumTokensOfLongest() const;  // choice
  TimePoint LastToken() const;     // of all choices
};

using ActiveRequests = std::unordered_map<RequestId, std::unique_ptr<ActiveRequest>>;

}  // namespace runahead
