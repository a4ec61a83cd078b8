// Scheduler::Schedule: one step, rule by rule (scheduler.h numbers them).
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "scheduler/scheduler.h"

namespace runahead {

// What is decided so far, and what may still be given out.
struct Scheduler::Step {
  Batch batch;
  int tokens_left = 0;
  int logit_rows_left = 0;

  void Add(Sequence& sequence, int num_tokens) {
    batch.sequences.push_back({.sequence = &sequence, .num_tokens = num_tokens});
    tokens_left -= num_tokens;
  }
};

Batch Scheduler::Schedule(TimePoint now, std::span<const DraftLimit> limits) {
  RA_CHECK(!in_step_, "Apply the previous batch first");
  Step step;
  step.tokens_left = config_.max_num_batched_tokens;
  step.logit_rows_left = config_.max_logit_rows;
  NoteDraftLimits(limits);
  EndExpired(now, step.batch);
  if (HoldsBackFirstBatch(now, step.batch)) {
    NoteWaiting(WaitReason::kWindow, step.batch);
    return std::move(step.batch);
  }
  PreemptForPriority(step.batch);
  ScheduleRunning(step);
  NoteWaiting(FailUnrunnable(step, AdmitWaiting(step)), step.batch);
  GrowChunks(step);
  GrantDrafts(step);
  step.batch.num_tokens = config_.max_num_batched_tokens - step.tokens_left;
  in_step_ = !step.batch.empty();
  return std::move(step.batch);
}

void Scheduler::NoteWaiting(WaitReason reason, Batch& batch) const {
  batch.waits_for = reason;
  if (reason != WaitReason::kNone) batch.first_priority = queues_.first_waiting().priority();
}

// Rule 1.
void Scheduler::EndExpired(TimePoint now, Batch& batch) {
  if (now < next_deadline_) return;
  next_deadline_ = kNoDeadline;
  for (auto next = requests_.begin(); next != requests_.end();) {
    const auto request = next++;
    const TimePoint deadline = request->second.deadline;
    if (deadline > now) {
      next_deadline_ = std::min(next_deadline_, deadline);
    } else {
      ReportEnded(request, EndReason::kExpired, batch);
    }
  }
}

void Scheduler::ReportEnded(ActiveRequests::iterator request, EndReason reason, Batch& batch) {
  const bool was_running = IsRunning(request->second);
  for (const auto& choice : request->second.choices) {
    if (choice == nullptr) continue;
    batch.ended.push_back({.request = choice->request(),
                           .choice = choice->choice(),
                           .reason = reason,
                           .was_running = was_running});
  }
  batch.ended.back().request_ended = true;
  EndRequest(request);
}

// A first batch that is not full yet may wait for company. A lone early request pays batch_wait
// once; while anything runs, newcomers join the next step anyway.
bool Scheduler::HoldsBackFirstBatch(TimePoint now, Batch& batch) const {
  if (config_.batch_wait == Duration::zero() || queues_.HasRunning() || !queues_.HasWaiting()) {
    return false;
  }
  if (queues_.num_waiting() >= config_.max_num_seqs) return false;
  TimePoint oldest = kNoDeadline;
  int64_t num_tokens = 0;
  for (const Sequence* sequence : queues_.waiting()) {
    if (sequence->status() == SequenceStatus::kPreempted) return false;
    oldest = std::min(oldest, sequence->arrival());
    num_tokens += sequence->num_tokens();
  }
  if (num_tokens >= config_.max_num_batched_tokens || now >= oldest + config_.batch_wait) {
    return false;
  }
  batch.wait_until = std::min(oldest + config_.batch_wait, next_deadline_);
  return true;
}

// Rule 2. Nobody is preempted for one who would not fit even then.
void Scheduler::PreemptForPriority(Batch& batch) {
  while (queues_.HasWaiting() && queues_.HasRunning()) {
    const Sequence& first = queues_.first_waiting();
    int num_behind = 0;  // running sequences that must give way to it, at the back of running()
    int num_freed = 0;   // blocks they would leave
    for (const Sequence* sequence : queues_.running()) {
      if (sequence->priority() <= first.priority()) continue;
      ++num_behind;
      num_freed += blocks_.NumOwn(*sequence);
    }
    if (num_behind == 0) return;
    const BlockTable& prompt_blocks = PromptBlocksFor(first);
    const int num_reserved = queues_.num_running();
    const bool has_place = num_reserved < config_.max_num_seqs;
    if (has_place && blocks_.CanAdmit(first, prompt_blocks, num_reserved)) return;
    if (!blocks_.CanAdmit(first, prompt_blocks, num_reserved - num_behind - num_freed)) return;
    Preempt(queues_.last_running(), true, batch);
  }
}

// Rule 3. Victims stand at the back of running(), behind everyone scheduled so far.
void Scheduler::ScheduleRunning(Step& step) {
  for (int i = 0; i < queues_.num_running(); ++i) {
    Sequence& sequence = *queues_.running()[static_cast<size_t>(i)];
    int num_tokens = 1;
    if (sequence.num_uncomputed() > 1) {
      num_tokens = FirstChunk(sequence, step.tokens_left - NumDecodesBehind(i));
    }
    if (num_tokens == 0) continue;
    if (!MakeRoom(sequence, sequence.num_computed() + num_tokens, step.batch)) return;
    step.Add(sequence, num_tokens);
  }
}

int Scheduler::NumDecodesBehind(int running_index) const {
  const auto behind = queues_.running().subspan(static_cast<size_t>(running_index) + 1);
  return static_cast<int>(
      std::ranges::count_if(behind, [](const Sequence* s) { return s->num_uncomputed() == 1; }));
}

// A quarter of the budget stays for others; GrowChunks hands it back where nobody wants it.
int Scheduler::FirstChunk(const Sequence& sequence, int tokens_left) const {
  const int max_chunk = config_.max_num_batched_tokens - config_.max_num_batched_tokens / 4;
  return std::min({sequence.num_uncomputed(), tokens_left, max_chunk});
}

// False when the sequence itself had to go.
bool Scheduler::MakeRoom(Sequence& sequence, int num_tokens, Batch& batch) {
  while (!blocks_.TryCover(sequence, num_tokens)) {
    if (ReleasePromptBlocks()) continue;
    Sequence& victim = queues_.last_running();
    Preempt(victim, false, batch);
    if (&victim == &sequence) return false;
  }
  return true;
}

void Scheduler::Preempt(Sequence& sequence, bool for_priority, Batch& batch) {
  batch.preempted.push_back({sequence.request(), sequence.choice(), for_priority});
  blocks_.Release(sequence);
  queues_.Preempt(sequence);
  sequence.draft_limit_ = {};
  ++counters_.preemptions;
}

bool Scheduler::ReleasePromptBlocks() {
  bool has_released = false;
  for (auto& [id, request] : requests_) {
    has_released = has_released || !request.prompt_blocks.empty();
    request.prompt_blocks.Clear();
  }
  return has_released;
}

// Rule 4. Why it admitted no more.
WaitReason Scheduler::AdmitWaiting(Step& step) {
  while (queues_.HasWaiting()) {
    if (queues_.num_running() >= config_.max_num_seqs) return WaitReason::kPlaces;
    if (step.tokens_left <= 0) return WaitReason::kTokens;
    Sequence& sequence = queues_.first_waiting();
    // Each running sequence will want another block within block_size steps.
    if (!TryAdmit(sequence, queues_.num_running(), step.batch)) return WaitReason::kBlocks;
    queues_.Run(sequence);
    step.Add(sequence, FirstChunk(sequence, step.tokens_left));
  }
  return WaitReason::kNone;
}

bool Scheduler::TryAdmit(Sequence& sequence, int num_reserved, Batch& batch) {
  const BlockTable& prompt_blocks = PromptBlocksFor(sequence);
  if (!blocks_.TryAdmit(sequence, prompt_blocks, num_reserved, batch)) return false;
  if (sequence.HasBegun()) return true;  // it comes back from a preemption
  sequence.num_cached_tokens_ = sequence.num_computed();
  if (prompt_blocks.empty() && cache_.enabled() && sequence.MayLookUpPrefix()) {
    counters_.prefix_query_tokens += static_cast<uint64_t>(sequence.num_prompt_tokens());
    counters_.prefix_hit_tokens += static_cast<uint64_t>(sequence.num_computed());
  }
  return true;
}

const BlockTable& Scheduler::PromptBlocksFor(const Sequence& sequence) const {
  return requests_.find(sequence.request())->second.prompt_blocks;
}

// Rule 6.
WaitReason Scheduler::FailUnrunnable(Step& step, WaitReason waits_for) {
  while (step.batch.empty() && queues_.HasWaiting()) {
    RA_CHECK(!queues_.HasRunning(), "the first running sequence always runs");
    ReleasePromptBlocks();
    waits_for = AdmitWaiting(step);
    if (!step.batch.empty()) return waits_for;
    const RequestId request = queues_.first_waiting().request();
    ReportEnded(requests_.find(request), EndReason::kFailed, step.batch);
  }
  return queues_.HasWaiting() ? waits_for : WaitReason::kNone;
}

void Scheduler::GrowChunks(Step& step) {
  for (ScheduledSequence& run : step.batch.sequences) {
    const int num_more =
        std::min(run.sequence->num_uncomputed() - run.num_tokens, step.tokens_left);
    run.num_tokens += num_more;
    step.tokens_left -= num_more;
    run.wants_token =
        run.num_tokens == run.sequence->num_uncomputed() && run.sequence->max_tokens() > 0;
    if (run.wants_token) --step.logit_rows_left;
  }
}

// Limits are kept with the sequences, since some of those they name may end or be preempted in this
// step.
void Scheduler::NoteDraftLimits(std::span<const DraftLimit> limits) {
  for (Sequence* sequence : queues_.running()) sequence->draft_limit_ = {};
  for (const DraftLimit& limit : limits) {
    RA_CHECK(limit.sequence->status() == SequenceStatus::kRunning);
    limit.sequence->draft_limit_ = {limit.num_draft, limit.num_catch_up};
  }
}

// Rule 5. Catching up comes before drafting: where it does not get all it wants, nothing is left to
// draft with.
void Scheduler::GrantDrafts(Step& step) {
  for (ScheduledSequence& run : step.batch.sequences) {
    Sequence& sequence = *run.sequence;
    const auto [num_draft, num_catch_up] = sequence.draft_limit_;
    run.num_catch_up = std::min(num_catch_up, step.tokens_left);
    step.tokens_left -= run.num_catch_up;
    if (!run.wants_token) continue;
    const int num_covered = blocks_.MaxCover(sequence) - sequence.num_tokens();
    const int num_granted = std::min({num_draft, sequence.num_tokens_left() - 1, num_covered,
                                      step.tokens_left, step.logit_rows_left});
    if (num_granted <= 0) continue;
    RA_CHECK(blocks_.TryCover(sequence, sequence.num_tokens() + num_granted));
    run.num_draft = num_granted;
    run.num_tokens += num_granted;
    step.tokens_left -= num_granted;
    step.logit_rows_left -= num_granted;
  }
}

}  // namespace runahead
