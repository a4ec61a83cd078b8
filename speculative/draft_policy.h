// DraftPolicy: chooses drafter and k for every sequence of a step, from costs and acceptance
// measured while serving. Engine thread only; no clock: durations are told.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/speculation.h"
#include "speculative/acceptance.h"
#include "speculative/confidence_gate.h"
#include "speculative/cost_model.h"
#include "speculative/draft_ledger.h"
#include "speculative/draft_planner.h"
#include "speculative/draft_rates.h"
#include "speculative/drafter.h"

namespace runahead {

// One running sequence that will want a token in the next step.
struct PolicySequence {
  SpeculationParams params;
  std::span<const DraftOffer> offers = {};  // of the lookup drafters and, where there is one, the
                                            // model drafter; the latter's max_drafts is kMaxDrafts
  const std::array<AcceptanceRecord, kNumDrafterKinds>* history = nullptr;
  int num_missing = 0;     // tokens before the last that the draft model has not computed
  int num_context = 0;     // tokens
  int max_drafts = 0;      // before the request's limits end it
  int num_left = 1 << 20;  // tokens it may still emit: a draft model's catching up must pay in them
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
    int match_length = 0;                 // of its choice
    bool is_fixed = false;                // its request's mode
    bool was_unsure = false;              // it proposed less than it might, behind an unsure token
    AcceptanceRecord* history = nullptr;  // of this drafter and sequence; updated here
  };
  std::span<const Sequence> sequences = {};  // those that wanted a token
  int num_rows = 0;                          // of the target: prefill chunks and drafts included
  int64_t num_context = 0;                   // sum over sequences of tokens attended to
  Duration target = {};                      // the target's run
  Duration lookup = {};                      // indexing and looking up
  std::span<const DraftPass> passes = {};    // of the draft model, catching up included
};

// A draft model that lags behind by more tokens is caught up only where that is expected to pay.
inline constexpr int kSmallGap = 32;
inline constexpr int kFirstProbeInterval = 16;  // steps

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
  const AcceptanceHistory& prior(DrafterKind kind) const { return rates_.prior(kind); }

 private:
  // What a step's rows cost and earn, as far as all sequences share it.
  struct Prices {
    double plain = 0;      // seconds of the step without drafts, prefill left out
    double token = 0;      // seconds a token is worth: what one takes now
    double row = 0;        // seconds of one more row of the target
    bool is_even = false;  // whatever their number
    double pass = 0;  // of one more draft of the draft model, its passes shared by all sequences
    double catch_up_row = 0;
  };

  // Of the draft model, in a step.
  struct PassSeconds {
    double drafting = 0;
    double catch_up = 0;  // serves steps to come
  };

  void Grant(const PolicySequence& sequence, DraftChoice& choice);
  bool WantsPlainStep(const PolicyStep& step);
  Prices PricesOf(const PolicyStep& step) const;
  void AddSource(const PolicySequence& sequence, size_t index);
  bool CatchUp(const PolicyStep& step, std::vector<DraftChoice>& choices);
  double SavedPerToken(const PolicyStep& step, DrafterKind kind) const;
  bool MayCatchUp(const PolicySequence& sequence, DrafterKind kind, double value) const;
  void StartCatchUp(const DraftSource& source, const PolicySequence& sequence, DraftChoice& choice);
  bool Pays(const DraftPlan& plan, int num_sequences) const;
  void ProbeDeeper(const PolicyStep& step, std::vector<DraftChoice>& choices);
  double ProbeCost(const PolicySequence& sequence, const DraftOffer& offer,
                   const DraftChoice& choice) const;
  void ChooseDrafts(const PolicyStep& step, std::vector<DraftChoice>& choices);
  void Probe(const PolicyStep& step, std::vector<DraftChoice>& choices);
  void TakeDrafts(const DraftSource& source, int num_drafts, DraftChoice& choice);
  bool IsProven(DrafterKind kind) const;

  void Book(const StepOutcome& outcome);
  void NoteGain(double took, double saved);
  PassSeconds PassSecondsOf(const StepOutcome& outcome, double share) const;
  void NoteAcceptance(const StepOutcome& outcome);
  void NoteDraftCosts(const StepOutcome& outcome);

  CostModel costs_;
  DraftLedger ledger_;
  DraftRates rates_;
  ConfidenceGate gate_;
  DraftPlanner planner_;
  std::vector<DraftSource> sources_;  // of the step being decided
  std::vector<int> num_drafts_;       // by source
  Prices prices_;
  int num_tokens_left_ = 0;  // of the step's budget
  int num_catch_up_left_ = 0;
  int num_fixed_rows_ = 0;
  bool has_pilot_ = false;  // an unproven draft model's one sequence

  // Seconds, running means: what plans promised to save, for what they took, and what they saved.
  double took_ = 0;
  double saved_ = 0;
  double candour_ = 1;          // saved_ / took_, at most 1
  double expected_gain_ = 0;    // of the step decided; 0: no plan
  double price_ratio_ = 1;      // of a token with drafts to one without, lately
  bool was_on_ = false;         // the last decision drafted because it pays
  bool has_caught_up_ = false;  // the first catching up, which nothing was known for, was spent
  double plain_budget_ = 0;     // steps without drafts, only to measure them
  int probe_interval_ = 0;
  int num_since_probe_ = 0;  // steps
  size_t probe_turn_ = 0;
  size_t draft_turn_ = 0;  // sequences that drafted so far
  bool is_probing_ = false;
};

}  // namespace runahead
