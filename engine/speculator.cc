#include "engine/speculator.h"

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <memory>
#include <string>

#include "core/check.h"
#include "engine/policy_decider.h"
#include "engine/sequence_run.h"

namespace runahead {
namespace {

// Prompts are indexed at about 50 ns a token: what is left of long ones waits for the next steps.
constexpr int kMaxIndexedPerStep = 4096;
constexpr int kMaxIndexedPerSequence = 2048;

ActiveRequest& RequestOf(const Sequence& sequence, const ActiveRequests& requests) {
  return *requests.find(sequence.request())->second;
}

ActiveChoice& ChoiceOf(const Sequence& sequence, ActiveRequest& request) {
  return request.choices[static_cast<size_t>(sequence.choice())];
}

}  // namespace

Speculator::Speculator(const EngineConfig& config, const SpeculationParts& parts,
                       const Clock& clock, Logger& logger)
    : max_drafts_(std::clamp(config.speculation.max_drafts, 0, kMaxDrafts)),
      vocab_size_(config.vocab_size),
      clock_(clock),
      logger_(logger) {
  const std::vector<DrafterKind>& kinds = config.speculation.drafters;
  if (kinds.empty() || max_drafts_ == 0) return;
  if (parts.decider == nullptr) policy_ = std::make_unique<PolicyDecider>(parts.costs);
  decider_ = parts.decider != nullptr ? parts.decider : policy_.get();
  for (Drafter* each : std::initializer_list<Drafter*>{&ngram_, &prediction_, parts.model}) {
    if (each == nullptr || std::ranges::count(kinds, each->kind()) == 0) continue;
    drafter(each->kind()) = each;
    if (each == parts.model) model_kind_ = each->kind();
  }
}

void Speculator::Prepare(ActiveRequest& request) const {
  if (!is_on() || request.request->speculation.mode == SpeculationMode::kOff) return;
  for (ActiveChoice& choice : request.choices) {
    choice.draft_state = std::make_unique<DraftState>();
    if (!has(DrafterKind::kPrediction)) continue;
    choice.draft_state->prediction.SetPrediction(request.request->prediction);
  }
}

// Tokens before the last one that the drafter's model has no K/V of.
int Speculator::NumMissing(const Sequence& sequence) const {
  return sequence.num_tokens() - 1 - sequence.num_computed(model_cache());
}

int Speculator::MaxDrafts(const Sequence& sequence, const Request& request) const {
  const SpeculationParams& params = request.speculation;
  if (params.mode == SpeculationMode::kOff) return 0;
  return std::max(0, std::min({params.max_tokens, max_drafts_, sequence.num_tokens_left() - 1}));
}

PolicySequence Speculator::PolicySequenceOf(const Sequence& sequence, ActiveRequest& request,
                                            std::span<DraftOffer, kNumDrafterKinds> offers) {
  PolicySequence known = {.params = request.request->speculation,
                          .num_context = sequence.num_tokens(),
                          .max_drafts = MaxDrafts(sequence, *request.request),
                          .num_left = sequence.num_tokens_left()};
  const ActiveChoice& choice = ChoiceOf(sequence, request);
  if (choice.draft_state == nullptr || known.max_drafts == 0) return known;
  DraftState& state = *choice.draft_state;
  FollowTokens(sequence, state);
  size_t num_offers = 0;
  const auto add = [&](const DraftOffer& offer) {
    if (offer.max_drafts > 0) offers[num_offers++] = offer;
  };
  if (has(DrafterKind::kNgram)) add(NgramDrafter::Offer(state, sequence.num_tokens()));
  if (has(DrafterKind::kPrediction)) add(PredictionDrafter::Offer(state));
  if (has(model_kind_)) {
    known.num_missing = NumMissing(sequence);
    add({.drafter = model_kind_, .max_drafts = kMaxDrafts});
  }
  known.offers = offers.first(num_offers);
  known.history = &state.history;
  return known;
}

void Speculator::FollowTokens(const Sequence& sequence, DraftState& state) {
  if (has(DrafterKind::kNgram)) {
    const int num_before = state.ngram.num_indexed();
    state.ngram.Extend(sequence.tokens(), std::min(num_index_left_, kMaxIndexedPerSequence));
    num_index_left_ -= state.ngram.num_indexed() - num_before;
  }
  if (has(DrafterKind::kPrediction)) state.prediction.Follow(sequence.output());
}

PolicyStep Speculator::ForecastOthers(const Scheduler& scheduler) const {
  const PrefillForecast prefill = scheduler.ForecastPrefill();
  const int num_left = scheduler.config().max_num_batched_tokens - prefill.num_tokens -
                       static_cast<int>(policy_sequences_.size());
  return {.sequences = policy_sequences_,
          .num_other_rows = prefill.num_tokens,
          .max_tokens = std::max(num_left, 0),
          .num_other_context = prefill.num_context};
}

std::span<const DraftLimit> Speculator::Decide(const Scheduler& scheduler,
                                               const ActiveRequests& requests) {
  if (!is_on()) return {};
  const std::span<Sequence* const> running = scheduler.Running();
  offers_.resize(std::max(offers_.size(), running.size()));
  policy_sequences_.clear();
  decoding_.clear();
  limits_.clear();
  num_index_left_ = kMaxIndexedPerStep;
  const TimePoint start = clock_.Now();
  for (Sequence* sequence : running) {
    if (sequence->num_uncomputed() != 1) continue;  // a chunk of a prefill
    policy_sequences_.push_back(PolicySequenceOf(*sequence, RequestOf(*sequence, requests),
                                                 offers_[policy_sequences_.size()]));
    decoding_.push_back(sequence);
  }
  IndexPrompts(running, requests);
  const bool looks_up = has(DrafterKind::kNgram) || has(DrafterKind::kPrediction);
  lookup_time_ = looks_up ? clock_.Now() - start : Duration();
  if (decoding_.empty()) return {};
  choices_.clear();
  decider_->Decide(ForecastOthers(scheduler), choices_);
  RA_CHECK_EQ(choices_.size(), decoding_.size());
  for (size_t i = 0; i < choices_.size(); ++i) {
    const DraftChoice& choice = choices_[i];
    const int num_drafts = std::min(choice.num_drafts, policy_sequences_[i].max_drafts);
    if (num_drafts <= 0 && choice.num_catch_up <= 0) continue;
    ChoiceOf(*decoding_[i], RequestOf(*decoding_[i], requests)).draft_choice = choice;
    limits_.push_back({decoding_[i], num_drafts, choice.num_catch_up});
  }
  return limits_;
}

// With what the decoding sequences left, so that a prompt is known once it is computed.
void Speculator::IndexPrompts(std::span<Sequence* const> running, const ActiveRequests& requests) {
  for (const Sequence* sequence : running) {
    if (sequence->num_uncomputed() == 1) continue;
    DraftState* state = ChoiceOf(*sequence, RequestOf(*sequence, requests)).draft_state.get();
    if (state != nullptr) FollowTokens(*sequence, *state);
  }
}

void Speculator::CopyBlocks(const Batch& batch) {
  if (!has(model_kind_)) return;
  try {
    drafter(model_kind_)->CopyBlocks(batch.copy_from, batch.copy_to);
  } catch (const std::exception& error) {
    GiveUp(model_kind_, error);
  }
}

void Speculator::Draft(Batch& batch, const ActiveRequests& requests) {
  if (!is_on()) return;
  drafted_.assign(batch.sequences.size(), {});
  model_time_ = draft_time_ = {};
  has_proposed_ = has_model_passes_ = false;
  num_catch_up_ = 0;
  for (Tasks& tasks : tasks_) {
    tasks.tasks.clear();
    tasks.places.clear();
  }
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    const ScheduledSequence& scheduled = batch.sequences[s];
    if (scheduled.num_draft == 0 && scheduled.num_catch_up == 0) continue;
    AddTasks(scheduled, s, RequestOf(*scheduled.sequence, requests));
  }
  for (int kind = 0; kind < kNumDrafterKinds; ++kind) {
    if (tasks_[static_cast<size_t>(kind)].tasks.empty()) continue;
    Propose(static_cast<DrafterKind>(kind));
    TakeAnswers(static_cast<DrafterKind>(kind), batch);
  }
  NoteOutcomes(batch, requests);
}

// At most two: what is to be judged, and the draft model's catching up beside it.
void Speculator::AddTasks(const ScheduledSequence& scheduled, size_t place,
                          ActiveRequest& request) {
  const Sequence& sequence = *scheduled.sequence;
  ActiveChoice& choice = ChoiceOf(sequence, request);
  const auto add = [&](DrafterKind kind, int max_drafts) {
    Tasks& tasks = tasks_[static_cast<size_t>(kind)];
    tasks.places.push_back(place);
    tasks.tasks.push_back(
        {.tokens = sequence.tokens(), .max_drafts = max_drafts, .state = choice.draft_state.get()});
    if (kind != model_kind_) return;
    DraftTask& task = tasks.tasks.back();
    task.run = DraftRunOf(scheduled, request);
    task.num_computed = sequence.num_computed(model_cache());
    task.num_catch_up = std::min(scheduled.num_catch_up, NumMissing(sequence));
    task.min_confidence = choice.draft_choice.min_confidence;
  };
  const DrafterKind drafter = choice.draft_choice.drafter;
  if (scheduled.num_draft > 0) add(drafter, scheduled.num_draft);
  const bool has_task = scheduled.num_draft > 0 && drafter == model_kind_;
  if (scheduled.num_catch_up > 0 && !has_task) add(model_kind_, 0);
}

// Leaves every task with an answer, an empty one where the drafter is gone or fails.
void Speculator::Propose(DrafterKind kind) {
  const std::span<DraftTask> tasks = tasks_[static_cast<size_t>(kind)].tasks;
  for (DraftTask& task : tasks) task.num_computed_after = task.num_computed;
  if (!has(kind)) return;
  has_proposed_ = true;
  const TimePoint start = clock_.Now();
  try {
    drafter(kind)->Propose(tasks);
    has_model_passes_ = has_model_passes_ || kind == model_kind_;
  } catch (const std::exception& error) {
    for (DraftTask& task : tasks) {
      task.num_drafts = 0;
      task.num_computed_after = task.num_computed;
    }
    GiveUp(kind, error);
  }
  const Duration time = clock_.Now() - start;
  draft_time_ += time;
  if (kind == model_kind_) {
    model_time_ += time;
  } else {
    lookup_time_ += time;
  }
}

// K/V it wrote before it failed lies beyond num_computed, so nobody will read it.
void Speculator::GiveUp(DrafterKind kind, const std::exception& error) {
  logger_.Log(LogLevel::kError, "the " + std::string(DrafterName(kind)) +
                                    " drafter failed and is no longer used: " + error.what());
  drafter(kind) = nullptr;
}

void Speculator::TakeAnswers(DrafterKind kind, Batch& batch) {
  Tasks& tasks = tasks_[static_cast<size_t>(kind)];
  for (size_t i = 0; i < tasks.tasks.size(); ++i) {
    DraftTask& task = tasks.tasks[i];
    const size_t place = tasks.places[i];
    ScheduledSequence& scheduled = batch.sequences[place];
    const int num_tokens = static_cast<int>(task.tokens.size());
    task.num_drafts = std::clamp(task.num_drafts, 0, task.max_drafts);
    const auto proposed = task.proposed();
    const auto valid_end =
        std::ranges::find_if(proposed, [this](int32_t id) { return id < 0 || id >= vocab_size_; });
    task.num_drafts = static_cast<int>(valid_end - proposed.begin());
    if (task.max_drafts > 0) {
      scheduled.LowerDraft(task.num_drafts);
      scheduled.sequence->SetDrafts(task.proposed());
      const bool was_unsure = task.min_confidence > 0 && task.num_drafts < task.max_drafts;
      if (task.num_drafts > 0) {
        drafted_[place] = {.drafter = kind,
                           .num_drafted = task.num_drafts,
                           .was_unsure = was_unsure,
                           .rows = task.proposed_rows(),
                           .num_caught_up = drafted_[place].num_caught_up};
      }
    }
    if (kind != model_kind_ || model_cache() == CacheModel::kTarget) continue;
    const int num_computed =
        std::clamp(task.num_computed_after, task.num_computed, num_tokens + task.num_drafts);
    scheduled.sequence->SetDraftComputed(num_computed);
    const int num_caught_up = std::min(num_computed, num_tokens - 1) - task.num_computed;
    drafted_[place].num_caught_up = num_caught_up;
    num_catch_up_ += num_caught_up;
  }
}

void Speculator::NoteOutcomes(const Batch& batch, const ActiveRequests& requests) {
  sequences_.clear();
  outcome_ = {};
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    const ScheduledSequence& scheduled = batch.sequences[s];
    const Sequence& sequence = *scheduled.sequence;
    outcome_.num_rows += scheduled.num_tokens;
    outcome_.num_context += sequence.num_computed() + scheduled.num_tokens;
    if (!scheduled.wants_token) continue;
    const StepDraft& draft = drafted_[s];
    ActiveRequest& request = RequestOf(sequence, requests);
    StepOutcome::Sequence& noted = sequences_.emplace_back();
    noted.drafter = draft.drafter;
    noted.num_drafted = draft.num_drafted;
    noted.num_context = sequence.num_tokens();
    noted.was_unsure = draft.was_unsure;
    noted.is_fixed = request.request->speculation.mode == SpeculationMode::kFixed;
    if (draft.drafter == DrafterKind::kNone) continue;
    ActiveChoice& choice = ChoiceOf(sequence, request);
    noted.match_length = choice.draft_choice.match_length;
    noted.history = &choice.draft_state->history[static_cast<size_t>(draft.drafter)];
  }
}

void Speculator::Observe(const Progress& progress, const ModelOutput& output, Duration target,
                         StepLedger& ledger) {
  if (!is_on()) return;
  size_t next = 0;  // in sequences_
  int num_drafted = 0;
  for (size_t s = 0; s < progress.sequences.size(); ++s) {
    const int num_sampled = output.offsets[s + 1] - output.offsets[s];
    if (num_sampled == 0) continue;
    StepOutcome::Sequence& noted = sequences_[next++];
    noted.num_accepted = num_sampled - 1;
    noted.num_emitted = progress.sequences[s].num_emitted;
    if (noted.num_drafted == 0) continue;
    num_drafted += noted.num_drafted;
    ledger.CountDraft({noted.drafter, noted.num_drafted, noted.num_accepted});
  }
  RA_CHECK_EQ(next, sequences_.size());
  outcome_.sequences = sequences_;
  outcome_.target = target;
  outcome_.lookup = lookup_time_;
  if (has_model_passes_) outcome_.passes = drafter(model_kind_)->passes();
  decider_->Observe(outcome_);

  if (!sequences_.empty()) draft_length_ = num_drafted / static_cast<double>(sequences_.size());
  ledger.CountCatchUp(num_catch_up_);
  if (has_proposed_) ledger.CountDrafting(draft_time_);
  if (num_drafted > 0) ledger.CountVerifying(target);
}

void Speculator::FillGauges(EngineGauges& gauges) const {
  if (!is_on()) return;
  gauges.draft_length = draft_length_;
  gauges.speculation_loss_seconds = decider_->loss_seconds();
  gauges.speculation_booked_seconds = decider_->booked_seconds();
  gauges.speculation_rests = !decider_->allows_drafts();
}

}  // namespace runahead
