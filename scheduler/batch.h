// Batch and Progress: what the scheduler decided for one step, and what came of it. Value types;
// engine thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "scheduler/sequence.h"

namespace runahead {

// The draft policy's wish for one running sequence; the scheduler may lower both numbers.
struct DraftLimit {
  Sequence* sequence = nullptr;  // one of Scheduler::Running
  int num_draft = 0;             // k: drafts to judge
  int num_catch_up = 0;          // tokens the draft model runs first to come level with the target
};

struct ScheduledSequence {
  Sequence* sequence = nullptr;  // borrowed from the scheduler until Apply
  int num_tokens = 0;            // q: rows of the target, drafts included
  int num_draft = 0;             // k <= q - 1
  int num_catch_up = 0;          // rows of the draft model, granted out of the token budget
  bool wants_token = false;      // the run reaches the sequence's end: sample 1 + k rows

  // A drafter that proposes less than it may: lowers k (and q with it) before the step runs.
  void LowerDraft(int num_proposed) {
    num_tokens -= num_draft - num_proposed;
    num_draft = num_proposed;
  }
};

// A sequence that ended without running in this step.
struct EndedSequence {
  RequestId request = {};
  int choice = 0;
  EndReason reason = EndReason::kNone;  // kExpired or kFailed
  bool was_running = false;             // else it waited (for the first time or preempted)
  bool request_ended = false;  // the last one of its request, which the scheduler has forgotten
};

// Why the first waiting sequence was not admitted.
enum class WaitReason : uint8_t {
  kNone,    // nobody waits
  kWindow,  // batch_wait
  kPlaces,  // max_num_seqs run
  kTokens,  // the step's budget is spent
  kBlocks,  // too few are free
};

// A running sequence that lost its blocks to others.
struct PreemptedSequence {
  RequestId request = {};
  int choice = 0;
  bool for_priority = false;  // a better priority took its place; else blocks ran out
};

struct Batch {
  std::vector<ScheduledSequence> sequences;
  // Blocks to copy, in every model's cache, before the step runs: from[i] to to[i]. No block is
  // both.
  std::vector<int32_t> copy_from;
  std::vector<int32_t> copy_to;
  std::vector<EndedSequence> ended;          // to report, also when nothing is scheduled
  int num_tokens = 0;                        // sum over sequences of num_tokens + num_catch_up
  std::vector<PreemptedSequence> preempted;  // by this Schedule; some may be back in it already
  WaitReason waits_for = WaitReason::kNone;
  int first_priority = 0;  // of the first waiting sequence, where one waits
  // When nothing is scheduled: call again at this time, or earlier when a message comes.
  // kNoDeadline: nothing to wait for but messages.
  TimePoint wait_until = kNoDeadline;

  bool empty() const { return sequences.empty(); }
};

// What one scheduled sequence got out of a step.
struct SequenceProgress {
  RequestId request = {};
  int choice = 0;
  int num_emitted =
      0;  // of the step's tokens for this sequence, the first so many count; the rest was cut off
  int num_accepted = 0;              // of those, how many a drafter had proposed
  EndReason end = EndReason::kNone;  // kNone, kStop or kLength
  std::optional<int32_t>
      stop_token;              // with kStop: the id that matched, which is the last emitted token
  bool request_ended = false;  // the last choice of its request, which the scheduler has forgotten
  int num_cached_tokens = 0;   // Sequence::num_cached_tokens
};

struct Progress {
  std::vector<SequenceProgress> sequences;  // parallel to Batch::sequences
};

}  // namespace runahead
