// Scheduler: decides per step which sequences run how many tokens, and keeps account of what they
// computed. Engine thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "kvcache/block_pool.h"
#include "kvcache/prefix_cache.h"
#include "scheduler/batch.h"
#include "scheduler/sequence.h"
#include "scheduler/sequence_blocks.h"
#include "scheduler/sequence_queues.h"

namespace runahead {

struct SchedulerConfig {
  int max_num_seqs = 256;             // running at once; clipped to the two limits below
  int max_num_batched_tokens = 2048;  // rows of a step, the draft model's catch-up included
  int max_logit_rows = 512;  // rows sampled in a step (1 + k for each sequence that wants a token)
  int max_context = 2048;    // tokens of prompt and output together
  Duration batch_wait =
      {};  // with nothing running, wait this long after an arrival for others to join
};

// Monotonic, for metrics.
struct SchedulerCounters {
  uint64_t preemptions = 0;
  uint64_t prefix_query_tokens = 0;  // prompt tokens looked up, once per request
  uint64_t prefix_hit_tokens = 0;
  uint64_t discarded_tokens = 0;  // emitted by the model, but past a stop or a limit
};

// What a message from outside ended.
struct RemovedRequest {
  bool found = false;          // false: it had ended before the message came
  bool was_running = false;    // a sequence of it held a place in the running set; else it waited
  bool request_ended = false;  // nothing of it is left here
};

// What the next step will probably run beside the decodes.
struct PrefillForecast {
  int num_tokens = 0;
  int64_t num_context = 0;  // tokens attended to, over the sequences
};

// The rules of a step, in this order:
//  1. Past its deadline a request ends, wherever it stands.
//  2. A waiting request of a strictly better priority takes the place and the blocks of running
//  ones.
//  3. Running sequences go first, best priority and earliest arrival first: one token each where
//  they decode, else a
//     chunk of what they have not computed. Tokens for every decode are set aside before any chunk
//     is cut. No block left: the worst running sequence (lowest priority, newest) is preempted.
//  4. Waiting ones follow in the same order, while tokens, places and blocks for all their tokens
//  are there. The
//     first that does not fit holds up those behind it. No sequence takes more than three quarters
//     of the budget while another can use the rest.
//  5. What is left of the budget goes to catching up and drafts; drafts never delay a prefill or
//  preempt.
//  6. Nothing scheduled, nothing running, but someone waits: the first one cannot run even alone,
//  and fails.
//
// Calls alternate: Schedule, then Apply of that batch where it is not empty. Add, Cancel and Finish
// come between an Apply and the next Schedule, never inside a step. Time is an argument; the
// scheduler has no clock.
class Scheduler {
 public:
  // Borrows both, which outlive it; `cache` indexes `pool`.
  Scheduler(const SchedulerConfig& config, BlockPool& pool, PrefixCache& cache);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  const SchedulerConfig& config() const { return config_; }

  // kInvalidArgument (context_length_exceeded) where the prompt leaves no room for a token in the
  // context, or would not fit the whole KV cache. The queue's bound is the engine's affair.
  Status Add(const RequestSpec& spec);

  // `limits` names running sequences, each at most once; others draft nothing.
  Batch Schedule(TimePoint now, std::span<const DraftLimit> limits = {});

  // Books the step: sequence s of the batch emitted token_ids[offsets[s]] .. token_ids[offsets[s +
  // 1] - 1], its accepted drafts and one more where it wanted a token, else none. Cuts at stop ids
  // and limits, publishes full verified blocks, and gives back the blocks of what ended: its
  // Sequence is gone on return.
  Progress Apply(const Batch& batch, std::span<const int32_t> token_ids,
                 std::span<const int32_t> offsets);

  // The client went away: every choice of the request ends.
  RemovedRequest Cancel(RequestId request);
  // The front end ended the choice after its first num_tokens output tokens (a stop string).
  RemovedRequest Finish(RequestId request, int choice, int num_tokens);

  // For the draft policy, which decides before Schedule does. It knows nothing of prefix hits, and
  // asks of a waiting request only whether a place and blocks are there for it.
  PrefillForecast ForecastPrefill() const;

  // In scheduling order; valid until the next call that changes something.
  std::span<Sequence* const> Running() const { return queues_.running(); }

  // Counted from the containers, never kept by increments. A request is running while one of its
  // sequences is.
  int num_running_sequences() const { return queues_.num_running(); }
  int num_waiting_sequences() const;
  int num_running() const;  // requests
  int num_waiting() const;  // requests
  bool idle() const { return requests_.empty(); }
  const SchedulerCounters& counters() const { return counters_; }

  // RA_CHECKs the invariants of Sequence, pool, prefix cache and queues, and that every block's
  // reference count is the number of tables that hold it. Between steps only. O(everything).
  void CheckIntegrity() const;

 private:
  // A request while any choice of it is served.
  struct ActiveRequest {
    TimePoint deadline = kNoDeadline;
    std::vector<std::unique_ptr<Sequence>> choices;  // null once ended
    // n > 1: the prompt's blocks, from when choice 0 has computed it until every other choice has
    // begun. Given back early when memory is short; the others then go by the prefix cache.
    BlockTable prompt_blocks;
  };
  using ActiveRequests = std::unordered_map<RequestId, ActiveRequest>;
  struct Step;  // one Schedule call in the making

  // schedule_step.cc, in the order of the rules
  void NoteDraftLimits(std::span<const DraftLimit> limits);
  void NoteWaiting(WaitReason reason, Batch& batch) const;
  void EndExpired(TimePoint now, Batch& batch);
  bool HoldsBackFirstBatch(TimePoint now, Batch& batch) const;
  void PreemptForPriority(Batch& batch);
  void ScheduleRunning(Step& step);
  WaitReason AdmitWaiting(Step& step);
  WaitReason FailUnrunnable(Step& step, WaitReason waits_for);
  void GrowChunks(Step& step);
  void GrantDrafts(Step& step);

  int NumDecodesBehind(int running_index) const;
  int FirstChunk(const Sequence& sequence, int tokens_left) const;
  bool MakeRoom(Sequence& sequence, int num_tokens, Batch& batch);
  void Preempt(Sequence& sequence, bool for_priority, Batch& batch);
  bool ReleasePromptBlocks();
  bool TryAdmit(Sequence& sequence, int num_reserved, Batch& batch);
  const BlockTable& PromptBlocksFor(const Sequence& sequence) const;
  void ReportEnded(ActiveRequests::iterator request, EndReason reason, Batch& batch);

  // scheduler.cc
  SequenceProgress ApplyRun(const ScheduledSequence& run, std::span<const int32_t> token_ids);
  int AdvanceComputed(const ScheduledSequence& run, std::span<const int32_t> token_ids,
                      int num_emitted);
  void SharePrompt(const Sequence& sequence);
  void WakeChoices(ActiveRequest& request);
  void ReleasePromptIfTaken(ActiveRequest& request);
  bool EndSequence(Sequence& sequence);
  void EndRequest(ActiveRequests::iterator request);
  static bool AwaitsPrompt(const std::unique_ptr<Sequence>& choice);
  static bool IsRunning(const ActiveRequest& request);
  void CheckSequence(const Sequence& sequence) const;

  SchedulerConfig config_;
  BlockPool& pool_;
  PrefixCache& cache_;
  SequenceBlocks blocks_;
  SequenceQueues queues_;
  ActiveRequests requests_;
  uint64_t num_arrivals_ = 0;
  TimePoint next_deadline_ = kNoDeadline;  // no request's deadline is earlier
  bool in_step_ = false;
  SchedulerCounters counters_;
};

}  // namespace runahead
