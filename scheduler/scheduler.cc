#include "scheduler/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/check.h"

namespace runahead {
namespace {

// Where the tokens a step emitted end the sequence, if they do.
struct Cut {
  int num_emitted = 0;
  EndReason end = EndReason::kNone;
  std::optional<int32_t> stop_token;
};

Cut FindCut(const Sequence& sequence, std::span<const int32_t> token_ids) {
  const int num_sampled = static_cast<int>(token_ids.size());
  for (int i = 0; i < num_sampled; ++i) {
    const int32_t token = token_ids[static_cast<size_t>(i)];
    if (i >= sequence.num_suppressed_rows() && sequence.IsStopId(token)) {
      return {i + 1, EndReason::kStop, token};
    }
    if (i + 1 == sequence.num_tokens_left()) return {i + 1, EndReason::kLength, {}};
  }
  return {num_sampled, EndReason::kNone, {}};
}

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config, BlockPool& pool, PrefixCache& cache)
    : config_(config), pool_(pool), cache_(cache), blocks_(pool, cache) {
  config_.max_num_seqs =
      std::min({config.max_num_seqs, config.max_num_batched_tokens, config.max_logit_rows});
  RA_CHECK_GT(config_.max_num_seqs, 0);
}

Scheduler::~Scheduler() = default;

Status Scheduler::Add(const RequestSpec& spec) {
  RA_CHECK(!in_step_, "messages are handled between steps");
  RA_CHECK(spec.num_choices >= 1 && spec.max_tokens >= 0 && !spec.prompt.empty());
  const int num_prompt_tokens = static_cast<int>(spec.prompt.size());
  const int max_prompt_tokens = std::min(config_.max_context - std::min(spec.max_tokens, 1),
                                         pool_.num_blocks() * pool_.block_size());
  if (num_prompt_tokens > max_prompt_tokens) {
    return InvalidArgument("the prompt has " + std::to_string(num_prompt_tokens) +
                               " tokens; at most " + std::to_string(max_prompt_tokens) + " fit",
                           "prompt", "context_length_exceeded");
  }
  const auto [added, is_new] = requests_.try_emplace(spec.id);
  RA_CHECK(is_new, "a request id is used once at a time");
  added->second.deadline = spec.deadline;
  const uint64_t order = num_arrivals_++;
  auto& choices = added->second.choices;
  for (int choice = 0; choice < spec.num_choices; ++choice) {
    choices.push_back(std::make_unique<Sequence>(spec, choice, order, config_.max_context));
    if (choice > 0) choices.back()->status_ = SequenceStatus::kAwaitsPrompt;
  }
  queues_.Wait(*choices[0]);
  next_deadline_ = std::min(next_deadline_, spec.deadline);
  return {};
}

Progress Scheduler::Apply(const Batch& batch, std::span<const int32_t> token_ids,
                          std::span<const int32_t> offsets) {
  RA_CHECK(in_step_, "Apply follows Schedule");
  RA_CHECK_EQ(offsets.size(), batch.sequences.size() + 1);
  in_step_ = false;
  Progress progress;
  progress.sequences.reserve(batch.sequences.size());
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    const auto begin = static_cast<size_t>(offsets[s]);
    const auto end = static_cast<size_t>(offsets[s + 1]);
    progress.sequences.push_back(
        ApplyRun(batch.sequences[s], token_ids.subspan(begin, end - begin)));
  }
  return progress;
}

SequenceProgress Scheduler::ApplyRun(const ScheduledSequence& run,
                                     std::span<const int32_t> token_ids) {
  Sequence& sequence = *run.sequence;
  const bool had_prompt = sequence.HasComputedPrompt();
  const Cut cut = FindCut(sequence, token_ids);
  SequenceProgress progress = {.request = sequence.request(),
                               .choice = sequence.choice(),
                               .num_emitted = cut.num_emitted,
                               .end = cut.end,
                               .stop_token = cut.stop_token,
                               .num_cached_tokens = sequence.num_cached_tokens()};
  progress.num_accepted =
      std::min(AdvanceComputed(run, token_ids, cut.num_emitted), cut.num_emitted);
  counters_.discarded_tokens += token_ids.size() - static_cast<size_t>(cut.num_emitted);
  if (sequence.max_tokens() == 0 && sequence.num_uncomputed() == 0) {
    progress.end = EndReason::kLength;  // the prompt was all there was to do
  }
  blocks_.RecordComputed(sequence);
  if (!had_prompt && sequence.HasComputedPrompt()) SharePrompt(sequence);
  if (progress.end != EndReason::kNone) progress.request_ended = EndSequence(sequence);
  return progress;
}

// num_computed += q - k + accepted: K/V is valid up to the last accepted draft, and what lies
// beyond is garbage by definition. Returns the number of accepted drafts, before the cut.
int Scheduler::AdvanceComputed(const ScheduledSequence& run, std::span<const int32_t> token_ids,
                               int num_emitted) {
  Sequence& sequence = *run.sequence;
  const int num_sampled = static_cast<int>(token_ids.size());
  RA_CHECK(run.wants_token ? num_sampled >= 1 && num_sampled <= 1 + run.num_draft
                           : num_sampled == 0);
  RA_CHECK(sequence.num_drafts() == run.num_draft, "SetDrafts says what the step judges");
  const int num_accepted = std::max(num_sampled - 1, 0);
  RA_CHECK(std::ranges::equal(sequence.drafts().first(static_cast<size_t>(num_accepted)),
                              token_ids.first(static_cast<size_t>(num_accepted))),
           "an accepted draft is the token emitted");
  const int num_verified = sequence.num_computed() + run.num_tokens - run.num_draft + num_accepted;
  const int num_draft_ran = sequence.num_draft_ran_;
  sequence.AppendOutput(token_ids.first(static_cast<size_t>(num_emitted)));
  const int num_target = std::min(num_verified, sequence.num_tokens());
  sequence.SetComputed(num_target, std::min(num_draft_ran, num_target));
  return num_accepted;
}

RemovedRequest Scheduler::Cancel(RequestId id) {
  RA_CHECK(!in_step_, "messages are handled between steps");
  const auto found = requests_.find(id);
  if (found == requests_.end()) return {};
  const bool was_running = IsRunning(found->second);
  EndRequest(found);
  return {.found = true, .was_running = was_running, .request_ended = true};
}

RemovedRequest Scheduler::Finish(RequestId id, int choice, int num_tokens) {
  RA_CHECK(!in_step_, "messages are handled between steps");
  const auto found = requests_.find(id);
  if (found == requests_.end()) return {};
  const auto& choices = found->second.choices;
  RA_CHECK(choice >= 0 && choice < static_cast<int>(choices.size()));
  Sequence* sequence = choices[static_cast<size_t>(choice)].get();
  if (sequence == nullptr) return {};
  const int num_discarded = std::max(sequence->num_output_tokens() - num_tokens, 0);
  counters_.discarded_tokens += static_cast<uint64_t>(num_discarded);
  const bool was_running = IsRunning(found->second);
  return {.found = true, .was_running = was_running, .request_ended = EndSequence(*sequence)};
}

// Choice 0 has just computed the prompt: the others need not.
void Scheduler::SharePrompt(const Sequence& sequence) {
  ActiveRequest& request = requests_.find(sequence.request())->second;
  if (sequence.choice() == 0 && request.choices.size() > 1 &&
      std::ranges::any_of(request.choices, &Scheduler::AwaitsPrompt)) {
    request.prompt_blocks = blocks_.SharePrompt(sequence);
    WakeChoices(request);
  }
  ReleasePromptIfTaken(request);
}

void Scheduler::WakeChoices(ActiveRequest& request) {
  for (const auto& choice : request.choices) {
    if (AwaitsPrompt(choice)) queues_.Wait(*choice);
  }
}

void Scheduler::ReleasePromptIfTaken(ActiveRequest& request) {
  const auto has_not_begun = [](const std::unique_ptr<Sequence>& choice) {
    return choice != nullptr && (choice->status() == SequenceStatus::kAwaitsPrompt ||
                                 choice->status() == SequenceStatus::kWaiting);
  };
  if (std::ranges::none_of(request.choices, has_not_begun)) request.prompt_blocks.Clear();
}

bool Scheduler::AwaitsPrompt(const std::unique_ptr<Sequence>& choice) {
  return choice != nullptr && choice->status() == SequenceStatus::kAwaitsPrompt;
}

bool Scheduler::EndSequence(Sequence& sequence) {
  const auto found = requests_.find(sequence.request());
  ActiveRequest& request = found->second;
  queues_.Remove(sequence);
  request.choices[static_cast<size_t>(sequence.choice())].reset();
  if (std::ranges::all_of(request.choices, [](const auto& choice) { return choice == nullptr; })) {
    requests_.erase(found);
    return true;
  }
  if (request.choices[0] == nullptr) WakeChoices(request);  // nobody computes the prompt for them
  ReleasePromptIfTaken(request);
  return false;
}

void Scheduler::EndRequest(ActiveRequests::iterator request) {
  for (const auto& choice : request->second.choices) {
    if (choice != nullptr) queues_.Remove(*choice);
  }
  requests_.erase(request);
}

bool Scheduler::IsRunning(const ActiveRequest& request) {
  return std::ranges::any_of(request.choices, [](const auto& choice) {
    return choice != nullptr && choice->status() == SequenceStatus::kRunning;
  });
}

int Scheduler::num_waiting_sequences() const {
  int num_sequences = 0;
  for (const auto& [id, request] : requests_) {
    for (const auto& choice : request.choices) num_sequences += choice != nullptr ? 1 : 0;
  }
  return num_sequences - queues_.num_running();
}

// Choices of a request share priority and order of arrival, so they stand side by side.
int Scheduler::num_running() const {
  int num_requests = 0;
  const Sequence* previous = nullptr;
  for (const Sequence* sequence : queues_.running()) {
    if (previous == nullptr || previous->request() != sequence->request()) ++num_requests;
    previous = sequence;
  }
  return num_requests;
}

int Scheduler::num_waiting() const { return static_cast<int>(requests_.size()) - num_running(); }

PrefillForecast Scheduler::ForecastPrefill() const {
  PrefillForecast forecast;
  int num_left = config_.max_num_batched_tokens;
  for (const Sequence* sequence : queues_.running()) {
    num_left -= sequence->num_uncomputed() == 1 ? 1 : 0;
  }
  const auto add = [&](const Sequence& sequence) {
    const int num_tokens = std::min(sequence.num_uncomputed(), num_left);
    num_left -= num_tokens;
    forecast.num_tokens += num_tokens;
    forecast.num_context += num_tokens > 0 ? sequence.num_computed() + num_tokens : 0;
  };
  for (const Sequence* sequence : queues_.running()) {
    if (sequence->num_uncomputed() > 1) add(*sequence);
  }
  int num_places = config_.max_num_seqs - queues_.num_running();
  int num_free = pool_.num_free() - queues_.num_running();
  for (const Sequence* sequence : queues_.waiting()) {
    num_free -= blocks_.BlocksFor(sequence->num_tokens());
    if (num_left <= 0 || num_places-- <= 0 || num_free < 0) break;
    add(*sequence);
  }
  return forecast;
}

void Scheduler::CheckSequence(const Sequence& sequence) const {
  const BlockTable& table = sequence.block_table();
  const int num_target = sequence.num_computed(CacheModel::kTarget);
  const int num_draft = sequence.num_computed(CacheModel::kDraft);
  RA_CHECK(num_draft >= 0 && num_draft <= num_target);
  RA_CHECK_LT(num_target, sequence.num_tokens());
  RA_CHECK(sequence.num_drafts() == 0, "drafts live for a step");
  RA_CHECK_GT(sequence.num_tokens_left(), sequence.max_tokens() == 0 ? -1 : 0);
  if (sequence.status() != SequenceStatus::kRunning) {
    RA_CHECK(table.empty(), "a sequence that does not run holds blocks");
    return;
  }
  RA_CHECK_GE(table.num_blocks(), blocks_.BlocksFor(num_target));
  RA_CHECK_LE(table.num_blocks(), blocks_.BlocksFor(sequence.num_tokens()));
  RA_CHECK_GE(cache_.NumValid(table, CacheModel::kTarget), num_target);
  RA_CHECK_GE(cache_.NumValid(table, CacheModel::kDraft), num_draft);
  for (int i = 0; i < table.num_blocks(); ++i) {
    const bool is_full = (i + 1) * pool_.block_size() <= num_target;
    RA_CHECK_EQ(pool_.IsFindable(table.block(i)), is_full && cache_.enabled());
  }
}

void Scheduler::CheckIntegrity() const {
  RA_CHECK(!in_step_, "between steps only");
  pool_.CheckIntegrity();
  cache_.CheckIntegrity();
  queues_.CheckIntegrity();
  std::vector<int> num_refs(static_cast<size_t>(pool_.num_blocks()), 0);
  const auto count = [&num_refs](const BlockTable& table) {
    for (const int32_t id : table.ids()) ++num_refs[static_cast<size_t>(id)];
  };
  int num_queued = 0;
  for (const auto& [id, request] : requests_) {
    bool is_alive = false;
    for (const auto& choice : request.choices) {
      if (choice == nullptr) continue;
      is_alive = true;
      RA_CHECK(choice->request() == id);
      RA_CHECK(!AwaitsPrompt(choice) || request.choices[0] != nullptr, "it would wait forever");
      if (!AwaitsPrompt(choice)) ++num_queued;
      CheckSequence(*choice);
      count(choice->block_table());
    }
    count(request.prompt_blocks);
    RA_CHECK(is_alive, "a request without choices is forgotten");
    RA_CHECK(request.deadline >= next_deadline_);
  }
  RA_CHECK_EQ(num_queued, queues_.num_waiting() + queues_.num_running());
  RA_CHECK_LE(queues_.num_running(), config_.max_num_seqs);
  for (int i = 0; i < pool_.num_blocks(); ++i) {
    RA_CHECK_EQ(pool_.num_refs(BlockId{i}), num_refs[static_cast<size_t>(i)]);
  }
}

}  // namespace runahead
