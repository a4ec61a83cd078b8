// RequestTimeline: where a request's time went in the engine, and what was done for it. Value type;
// the engine writes it, whoever explains the request reads a copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/clock.h"
#include "core/speculation.h"
#include "engine/request.h"

namespace runahead {

// What a request's time is spent on, from its submission to its last token: one thing at a time.
enum class TimelineSegment : uint8_t {
  // Before its first step.
  kQueueStep,      // the step under way had to end: mail is taken between steps
  kQueueWindow,    // batch_wait: company might still come
  kQueuePlaces,    // as many sequences run as may
  kQueueTokens,    // the step's token budget was spent
  kQueueBlocks,    // too few free blocks
  kQueuePriority,  // a better priority stood first in the queue, whatever that one waited for
  // Steps that ran a sequence of it, by the best of what its sequences did: the model's time.
  kDecode,
  kPrefill,
  kRecompute,  // what a preemption had thrown away
  kDraft,      // the drafters' part of such steps, the draft model's catching up included
  kHost,       // the engine's own work between and around the models' runs of such steps
  // Steps that ran none of it.
  kStalled,    // admitted, but the step had no tokens left, or a further choice got no blocks
  kPreempted,  // without blocks, back in the queue
};
inline constexpr int kNumTimelineSegments = 13;
inline constexpr int kNumQueueSegments = 6;  // the first so many
inline constexpr int kMaxTimelineChunks = 16;

struct RequestTimeline {
  struct Chunk {
    int choice = 0;
    int num_tokens = 0;
    int num_sequences = 0;  // in the step's batch, this one included
    bool is_again = false;  // computed before a preemption
    Duration at = {};       // since `submitted`, when the step began
    Duration time = {};     // the model's run
  };
  struct Drafts {
    int num_drafted = 0;
    int num_accepted = 0;  // those past a stop or a limit included
  };

  TimePoint submitted;
  TimePoint scheduled;  // began its first step; TimePoint(): not yet
  TimePoint first_token;
  // Sum of `segments` = mark - submitted: the time before `mark` is accounted for. Since then
  // `state` goes on, as far as the engine had said when it left this copy.
  TimePoint mark;
  std::array<Duration, kNumTimelineSegments> segments = {};
  TimelineSegment state = TimelineSegment::kQueueStep;
  bool has_ended = false;

  int num_ahead = 0;  // requests in the queue when it came
  int num_prompt_tokens = 0;
  int num_cached_tokens = 0;  // of the prompt, from the prefix cache
  int num_cached_blocks = 0;

  std::array<Chunk, kMaxTimelineChunks> chunks = {};  // the first ones
  int num_chunks = 0;
  int num_prefill_tokens = 0;     // of all chunks, over the choices
  int num_recomputed_tokens = 0;  // after preemptions
  int num_refound_tokens = 0;     // after preemptions, in the prefix cache
  int num_preempted_for_blocks = 0;
  int num_preempted_for_priority = 0;

  int num_decode_steps = 0;  // that decoded a sequence of it
  int min_batch = 0;         // sequences in the batch of such a step
  int max_batch = 0;
  int64_t sum_batch = 0;
  int num_steps_beside_prefill = 0;   // of them, those that computed somebody's prompt as well
  Duration time_beside_prefill = {};  // the model's, in those

  std::array<Drafts, kNumDrafterKinds> drafts = {};  // by DrafterKind
  int num_caught_up_tokens = 0;                      // run by the draft model to come level
  int num_generated_tokens = 0;                      // over the choices, up to stops and limits
  int num_discarded_tokens = 0;                      // beyond them

  Duration& of(TimelineSegment segment) { return segments[static_cast<size_t>(segment)]; }
  Duration of(TimelineSegment segment) const { return segments[static_cast<size_t>(segment)]; }
  Duration total() const {
    Duration sum = {};
    for (const Duration each : segments) sum += each;
    return sum;
  }
};

}  // namespace runahead
