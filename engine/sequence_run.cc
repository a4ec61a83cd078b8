#include "engine/sequence_run.h"

#include <algorithm>

namespace runahead {
namespace {

// The run holds a row that judges a prompt token not judged yet. Choice 0 speaks for the prompt.
bool WantsPromptLogprobs(const ScheduledSequence& scheduled, const ActiveRequest& request) {
  const Sequence& sequence = *scheduled.sequence;
  if (request.request->sampling.num_prompt_logprobs < 0 || sequence.choice() != 0) return false;
  const int next_row = request.num_prompt_logprobs;
  return next_row + 1 < sequence.num_prompt_tokens() &&
         next_row < sequence.num_computed() + scheduled.num_tokens;
}

}  // namespace

SequenceRun RunOf(const ScheduledSequence& scheduled, ActiveRequest& request) {
  const Sequence& sequence = *scheduled.sequence;
  const int end = sequence.num_computed() + scheduled.num_tokens;
  SequenceRun run = {.tokens = sequence.TokensToRun(scheduled.num_tokens),
                     .num_computed = sequence.num_computed(),
                     .block_table = sequence.block_table().ids(),
                     .num_drafts = scheduled.num_draft,
                     .wants_token = scheduled.wants_token,
                     .choice = static_cast<uint32_t>(sequence.choice()),
                     .wants_prompt_logprobs = WantsPromptLogprobs(scheduled, request)};
  run.sampling = &request.request->sampling;
  run.prompt = sequence.prompt();
  run.output = sequence.output();
  if (scheduled.wants_token) {
    run.counts = &request.choices[static_cast<size_t>(sequence.choice())].token_counts;
    run.num_suppressed_rows = std::min(sequence.num_suppressed_rows(), 1 + scheduled.num_draft);
    if (run.num_suppressed_rows > 0) run.suppressed = sequence.stop_ids();
  }
  if (end < sequence.num_prompt_tokens()) {
    run.next_prompt_token = sequence.prompt()[static_cast<size_t>(end)];
  }
  return run;
}

SequenceRun DraftRunOf(const ScheduledSequence& scheduled, ActiveRequest& request) {
  const Sequence& sequence = *scheduled.sequence;
  SequenceRun run = {.block_table = sequence.block_table().ids(),
                     .wants_token = true,
                     .choice = static_cast<uint32_t>(sequence.choice())};
  run.sampling = &request.request->sampling;
  run.prompt = sequence.prompt();
  run.output = sequence.output();
  run.counts = &request.choices[static_cast<size_t>(sequence.choice())].token_counts;
  run.num_suppressed_rows = std::min(sequence.num_suppressed_rows(), 1 + scheduled.num_draft);
  if (run.num_suppressed_rows > 0) run.suppressed = sequence.stop_ids();
  return run;
}

void TakePromptLogprobs(const ScheduledSequence& scheduled, std::span<const PositionLogprobs> rows,
                        ActiveRequest& request) {
  const Sequence& sequence = *scheduled.sequence;
  const int num_rows = static_cast<int>(rows.size());
  for (int i = 0; i < num_rows; ++i) {
    const int position = sequence.num_computed() + i;
    if (position != request.num_prompt_logprobs) continue;
    if (position + 1 >= sequence.num_prompt_tokens()) return;
    request.prompt_logprobs.push_back(rows[static_cast<size_t>(i)]);
    ++request.num_prompt_logprobs;
  }
}

}  // namespace runahead
