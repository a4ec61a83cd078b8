#include "engine/step_ledger.h"

#include "core/check.h"

namespace runahead {

void StepLedger::CountScheduled(const ActiveRequest& request) {
  scheduled_.push_back({Seconds(request.timings.scheduled - request.timings.submitted),
                        request.num_prompt_tokens, request.num_cached_tokens});
}

void StepLedger::CountFirstToken(const ActiveRequest& request) {
  const RequestTimings& timings = request.timings;
  first_tokens_.push_back({Seconds(timings.first_token - timings.scheduled),
                           Seconds(timings.first_token - timings.submitted)});
}

void StepLedger::CountGap(Duration gap, int count) {
  gaps_.push_back({Seconds(gap) / count, count});
}

void StepLedger::CountOutcome(const ActiveRequest& request, FinishReason outcome,
                              RequestPhase phase, TimePoint now) {
  const RequestTimings& timings = request.timings;
  outcomes_.push_back(
      {.reason = outcome,
       .phase = phase,
       .e2e_seconds = Seconds(now - timings.submitted),
       .decode_seconds =
           request.has_token() ? Seconds(request.LastToken() - timings.first_token) : -1,
       .inference_seconds =
           request.has_token() ? Seconds(request.LastToken() - timings.scheduled) : -1,
       .prompt_tokens = request.num_prompt_tokens,
       .cached_tokens = request.num_cached_tokens,
       .generated_tokens = request.NumTokens(),
       .longest_tokens = request.NumTokensOfLongest(),
       .max_tokens = request.request->max_tokens,
       .num_choices = request.request->num_choices});
}

void StepLedger::CountStep(int num_sequences, int num_tokens, Duration total, Duration host) {
  steps_.push_back({num_sequences, num_tokens, Seconds(total), Seconds(host)});
}

void StepLedger::Commit(const EngineGauges& gauges, Metrics& metrics) {
  metrics.Update([&](MetricsSnapshot& counts) {
    Book(counts);
    BookGauges(gauges, counts);
  });
  Clear();
}

void StepLedger::Book(MetricsSnapshot& counts) const {
  counts.admitted += num_admitted_;
  counts.generated_tokens += generated_;
  counts.discarded_tokens += discarded_;
  for (const Scheduled& scheduled : scheduled_) {
    counts.queue_seconds.Observe(scheduled.queue_seconds);
    counts.prompt_tokens += static_cast<uint64_t>(scheduled.prompt_tokens);
    counts.cached_prompt_tokens += static_cast<uint64_t>(scheduled.cached_tokens);
  }
  for (const FirstToken& first : first_tokens_) {
    counts.prefill_seconds.Observe(first.prefill_seconds);
    counts.ttft_seconds.Observe(first.ttft_seconds);
  }
  for (const Gap& gap : gaps_) {
    counts.inter_token_seconds.Observe(gap.seconds, static_cast<uint64_t>(gap.count));
    counts.inter_chunk_seconds.Observe(gap.seconds * gap.count);
  }
  counts.inter_token_seconds.Observe(0, together_);
  for (const Outcome& outcome : outcomes_) BookOutcome(outcome, counts);
  for (const Step& step : steps_) {
    ++counts.steps;
    counts.step_seconds.Observe(step.total_seconds);
    counts.host_seconds.Observe(step.host_seconds);
    counts.batch_sequences.Observe(step.num_sequences);
    counts.batch_tokens.Observe(step.num_tokens);
  }
  BookDrafts(counts);
}

void StepLedger::BookDrafts(MetricsSnapshot& counts) const {
  for (const int num_emitted : runs_) counts.tokens_per_run.Observe(num_emitted);
  for (const JudgedDraft& draft : drafts_) {
    DrafterCounts& drafter = counts.drafters[static_cast<size_t>(draft.drafter)];
    ++drafter.drafts;
    drafter.drafted_tokens += static_cast<uint64_t>(draft.num_drafted);
    drafter.accepted_tokens += static_cast<uint64_t>(draft.num_accepted);
    const auto drafted = static_cast<size_t>(draft.num_drafted);
    const auto accepted = static_cast<size_t>(draft.num_accepted);
    for (size_t i = 0; i < drafted; ++i) ++drafter.drafted_at[i];
    for (size_t i = 0; i < accepted; ++i) ++drafter.accepted_at[i];
    drafter.accepted_length.Observe(draft.num_accepted);
  }
  for (const double seconds : drafting_) counts.draft_seconds.Observe(seconds);
  for (const double seconds : verifying_) counts.verify_seconds.Observe(seconds);
  counts.draft_catch_up_tokens += catch_up_;
}

void StepLedger::BookOutcome(const Outcome& outcome, MetricsSnapshot& counts) {
  const auto phase = static_cast<size_t>(outcome.phase);
  switch (outcome.reason) {
    case FinishReason::kStop:
      ++counts.finished_stop;
      break;
    case FinishReason::kLength:
      ++counts.finished_length;
      break;
    case FinishReason::kCancelled:
      ++counts.cancelled[phase];
      return;  // latencies are of finished requests only
    case FinishReason::kExpired:
      ++counts.expired[phase];
      return;
    case FinishReason::kFailed:
      ++counts.failed;
      return;
    case FinishReason::kNone:
      RA_CHECK(false, "a request ends with a reason");
  }
  counts.e2e_seconds.Observe(outcome.e2e_seconds);
  if (outcome.decode_seconds >= 0) {
    counts.decode_seconds.Observe(outcome.decode_seconds);
    counts.inference_seconds.Observe(outcome.inference_seconds);
  }
  if (outcome.longest_tokens > 1) {
    counts.token_seconds.Observe(outcome.decode_seconds / (outcome.longest_tokens - 1));
  }
  counts.request_prompt_tokens.Observe(outcome.prompt_tokens);
  counts.request_computed_tokens.Observe(outcome.prompt_tokens - outcome.cached_tokens);
  counts.request_generated_tokens.Observe(outcome.generated_tokens);
  counts.request_longest_tokens.Observe(outcome.longest_tokens);
  counts.request_max_tokens.Observe(outcome.max_tokens);
  counts.request_choices.Observe(outcome.num_choices);
}

void StepLedger::BookGauges(const EngineGauges& gauges, MetricsSnapshot& counts) {
  counts.waiting = gauges.waiting;
  counts.running = gauges.running;
  counts.num_blocks = gauges.num_blocks;
  counts.used_blocks = gauges.used_blocks;
  counts.cached_blocks = gauges.cached_blocks;
  counts.preemptions = gauges.preemptions;
  counts.prefix_query_tokens = gauges.prefix_query_tokens;
  counts.prefix_hit_tokens = gauges.prefix_hit_tokens;
  counts.draft_length = gauges.draft_length;
  counts.speculation_loss_seconds = gauges.speculation_loss_seconds;
  counts.speculation_booked_seconds = gauges.speculation_booked_seconds;
  counts.speculation_rests = gauges.speculation_rests;
}

void StepLedger::Clear() {
  num_admitted_ = generated_ = discarded_ = together_ = catch_up_ = 0;
  scheduled_.clear();
  first_tokens_.clear();
  gaps_.clear();
  outcomes_.clear();
  steps_.clear();
  runs_.clear();
  drafts_.clear();
  drafting_.clear();
  verifying_.clear();
}

}  // namespace runahead
