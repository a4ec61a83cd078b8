// Speculator: the bridge from sequences and requests to drafters and policy: what is drafted in a
// step, by whom, and what came of it. Engine thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "engine/active_request.h"
#include "engine/engine_config.h"
#include "engine/speculation_parts.h"
#include "engine/step_ledger.h"
#include "model/model_runner.h"
#include "scheduler/scheduler.h"
#include "speculative/draft_task.h"
#include "speculative/ngram_drafter.h"
#include "speculative/prediction_drafter.h"

namespace runahead {

// What one scheduled sequence had to judge.
struct StepDraft {
  DrafterKind drafter = DrafterKind::kNone;
  int num_drafted = 0;
  bool was_unsure = false;             // StepOutcome::Sequence's
  std::span<const int32_t> rows = {};  // SequenceRun::draft_rows
  int num_caught_up = 0;               // tokens the draft model ran to come level
};

// Calls of a step, in order: Decide, (Scheduler::Schedule), CopyBlocks and Draft, (the target's
// run, Scheduler::Apply), Observe. Without drafters each of them returns at once. Whatever a
// drafter does wrong costs its drafts (k = 0), never the request; one that throws is out of use
// from then on.
class Speculator {
 public:
  // Borrows the clock, the logger and what the parts point to.
  Speculator(const EngineConfig& config, const SpeculationParts& parts, const Clock& clock,
             Logger& logger);

  bool is_on() const { return decider_ != nullptr; }

  // A request was admitted: gives its choices what drafting needs to remember.
  void Prepare(ActiveRequest& request) const;

  // A wish for each running sequence that decodes. Valid until the next Decide.
  std::span<const DraftLimit> Decide(const Scheduler& scheduler, const ActiveRequests& requests);

  void CopyBlocks(const Batch& batch);

  // Fills in the drafts that the scheduler granted, or fewer.
  void Draft(Batch& batch, const ActiveRequests& requests);

  // Of the batch's s-th sequence, from Draft until the next one.
  StepDraft drafted(size_t s) const { return is_on() ? drafted_[s] : StepDraft(); }
  // The draft model's share of the last Draft: device time, unlike that of lookups.
  Duration model_time() const { return model_time_; }
  Duration draft_time() const { return draft_time_; }  // of all drafters

  // Tells the policy and the ledger. The requests that ended with the step are still there.
  void Observe(const Progress& progress, const ModelOutput& output, Duration target,
               StepLedger& ledger);

  void FillGauges(EngineGauges& gauges) const;

 private:
  struct Tasks {
    std::vector<DraftTask> tasks;
    std::vector<size_t> places;  // in the batch
  };

  Drafter*& drafter(DrafterKind kind) { return drafters_[static_cast<size_t>(kind)]; }
  bool has(DrafterKind kind) const { return drafters_[static_cast<size_t>(kind)] != nullptr; }
  // Whose K/V the drafter that runs a model reads: its own, or the target's.
  CacheModel model_cache() const {
    return model_kind_ == DrafterKind::kSelf ? CacheModel::kTarget : CacheModel::kDraft;
  }
  int NumMissing(const Sequence& sequence) const;
  int MaxDrafts(const Sequence& sequence, const Request& request) const;
  PolicySequence PolicySequenceOf(const Sequence& sequence, ActiveRequest& request,
                                  std::span<DraftOffer, kNumDrafterKinds> offers);
  void FollowTokens(const Sequence& sequence, DraftState& state);
  void IndexPrompts(std::span<Sequence* const> running, const ActiveRequests& requests);
  PolicyStep ForecastOthers(const Scheduler& scheduler) const;

  void AddTasks(const ScheduledSequence& scheduled, size_t place, ActiveRequest& request);
  void Propose(DrafterKind kind);
  void GiveUp(DrafterKind kind, const std::exception& error);
  void TakeAnswers(DrafterKind kind, Batch& batch);
  void NoteOutcomes(const Batch& batch, const ActiveRequests& requests);

  const int max_drafts_;
  const int vocab_size_;
  const Clock& clock_;
  Logger& logger_;
  std::unique_ptr<DraftDecider> policy_;  // where the parts bring no decider
  DraftDecider* decider_ = nullptr;
  NgramDrafter ngram_;
  PredictionDrafter prediction_;
  std::array<Drafter*, kNumDrafterKinds> drafters_ = {};  // null: not configured, or out of use
  DrafterKind model_kind_ = DrafterKind::kNone;           // of the one that runs a model

  // Of the step being made; kept to keep their memory.
  int num_index_left_ = 0;  // tokens
  Duration lookup_time_ = {};
  std::vector<std::array<DraftOffer, kNumDrafterKinds>> offers_;
  std::vector<PolicySequence> policy_sequences_;
  std::vector<Sequence*> decoding_;
  std::vector<DraftChoice> choices_;
  std::vector<DraftLimit> limits_;
  std::array<Tasks, kNumDrafterKinds> tasks_;
  std::vector<StepDraft> drafted_;                // parallel to the batch
  std::vector<StepOutcome::Sequence> sequences_;  // of those that want a token, in order
  StepOutcome outcome_;
  Duration model_time_ = {};
  Duration draft_time_ = {};       // all drafters
  bool has_proposed_ = false;      // somebody
  bool has_model_passes_ = false;  // the draft model
  int num_catch_up_ = 0;
  double draft_length_ = 0;
};

}  // namespace runahead
