// DraftPolicy: chooses drafter and k for every sequence of a step, from costs and acceptance
// measured while serving. Engine thread only; no clock: durations are told.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/speculation.h"
#include "speculative/acceptance.h"
#include "speculative/cost_model.h"
#include "speculative/draft_ledger.h"
#include "speculative/drafter.h"

namespace runahead {

// One running sequence that will want a token in the next step.
struct PolicySequence {
  SpeculationParams params;
  std::span<const DraftOffer> offers = {};  // of the lookup drafters and, where there is one, the
                                            // model drafter; the latter's max_drafts is kMaxDrafts
  const std::array<AcceptanceHistory, kNumDrafterKinds>* history = nullptr;
  int num_missing = 0;  // tokens before the last that the draft model has not computed
  int num_context = 0;  // tokens
  int max_drafts = 0;   // before the request's limits end it
};

// What else the next step will run.
struct PolicyStep {
  std::span<const PolicySequence> sequences = {};
  int num_other_rows = 0;  // prefill rows expected beside them
  int max_tokens = 0;      // what is left of the step's token budget for drafts and catching up
  int64_t num_other_context = 0;
};

struct DraftChoice {
  DrafterKind drafter = DrafterKind::kNone;
  int num_drafts = 0;
  int num_catch_up = 0;      // the whole num_missing, a chunk of it (then num_drafts is 0), or 0
  float min_confidence = 0;  // model drafter: stop below
  int match_length = 0;      // of the offer chosen
};

// How a step that was decided went. Fields of sequences are parallel to the batch that ran, which
// may hold fewer and others than were decided.
struct StepOutcome {
  struct Sequence {
    DrafterKind drafter = DrafterKind::kNone;
    int num_drafted = 0;
    int num_accepted = 0;
    int num_emitted = 0;
    int num_context = 0;
    int match_length = 0;                  // of its choice
    bool is_fixed = false;                 // its request's mode
    AcceptanceHistory* history = nullptr;  // of this drafter and sequence; updated here
  };
  std::span<const Sequence> sequences = {};  // those that wanted a token
  int num_rows = 0;                          // of the target: prefill chunks and drafts included
  int64_t num_context = 0;                   // sum over sequences of tokens attended to
  Duration target = {};                      // the target's run
  Duration lookup = {};                      // indexing and looking up
  std::span<const DraftPass> passes = {};    // of the draft model, catching up included
};

class DraftPolicy {
 public:
  explicit DraftPolicy(const CostModel& costs);

  // One choice per sequence, in order. k maximises the expected tokens per second of the whole
  // step; probes are rare and small; nothing is drafted or probed while the ledger forbids.
  // A fixed request is always granted its k and kept out of the ledger.
  void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices);

  void Observe(const StepOutcome& outcome);

  const CostModel& costs() const { return costs_; }
  const DraftLedger& ledger() const { return ledger_; }
  // Over all requests, by drafter; for metrics and logs.
  const AcceptanceHistory& prior(DrafterKind kind) const;

 private:
  CostModel costs_;
  DraftLedger ledger_;
  // The implementer's.
};

}  // namespace runahead
