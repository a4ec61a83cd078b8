// What a step took and brought: acceptance, the ledger, costs. Of DraftPolicy.
#include <algorithm>
#include <cmath>

#include "speculative/draft_policy.h"

namespace runahead {
namespace {

constexpr double kSurprising = 0.25;  // rate below which an accepted draft is a surprise
constexpr int kKnownPasses = 4;       // passes after which a prediction is taken at its word
constexpr double kMostSurprise = 2;  // times a prediction; a pass that takes longer was interrupted
constexpr double kCandourStep = 1.0 / 64;   // of the running means of what was promised and came
constexpr double kForgiveness = 1.0 / 128;  // a step without drafts
constexpr double kLeastCandour = 0.7;
constexpr int kLastProbeInterval = 2048;

}  // namespace

void DraftPolicy::Observe(const StepOutcome& outcome) {
  NoteAcceptance(outcome);
  NoteDraftCosts(outcome);  // first: they tell what weather the target's pass met
  if (!outcome.sequences.empty()) Book(outcome);
  costs_.ObserveTarget(outcome.num_rows, outcome.num_context, outcome.target);
}

void DraftPolicy::NoteAcceptance(const StepOutcome& outcome) {
  bool is_surprising = false;
  for (const StepOutcome::Sequence& sequence : outcome.sequences) {
    if (sequence.num_drafted == 0) continue;
    is_surprising = is_surprising ||
                    (sequence.num_accepted > 0 && rates_.FirstRate(sequence.drafter) < kSurprising);
    // What was accepted behind the answer's end was of no use either.
    rates_.Observe(sequence.drafter, sequence.match_length, sequence.num_drafted,
                   std::min(sequence.num_accepted, sequence.num_emitted), sequence.history);
    if (sequence.was_unsure && sequence.num_accepted >= sequence.num_drafted - 1) {
      gate_.Observe(sequence.num_accepted == sequence.num_drafted,
                    rates_.FirstRate(sequence.drafter));
    }
  }
  if (was_on_) {
    probe_interval_ = kFirstProbeInterval;
  } else if (is_probing_) {
    // What was given up and succeeds all the same is tried again soon: a run of successes is how
    // speculation comes back.
    probe_interval_ = is_surprising ? std::max(2, probe_interval_ / 8)
                                    : std::min(2 * probe_interval_, kLastProbeInterval);
  }
  is_probing_ = false;
}

void DraftPolicy::Book(const StepOutcome& outcome) {
  int num_drafted = 0;  // not of fixed requests
  int num_fixed = 0;
  int num_extra = 0;  // tokens that a step without drafts would not have brought
  int64_t context = 0;
  for (const StepOutcome::Sequence& sequence : outcome.sequences) {
    context += sequence.num_context;
    (sequence.is_fixed ? num_fixed : num_drafted) += sequence.num_drafted;
    if (!sequence.is_fixed) num_extra += std::max(0, sequence.num_emitted - 1);
  }
  const double seconds = Seconds(outcome.target);
  const int num_sequences = static_cast<int>(outcome.sequences.size());
  const double plain =
      costs_.knows_target() ? costs_.TargetSeconds(num_sequences, context) : seconds;
  const PassSeconds passes = PassSecondsOf(
      outcome, num_fixed == 0 ? 1.0 : static_cast<double>(num_drafted) / (num_drafted + num_fixed));
  ledger_.BookCatchUp(passes.catch_up);
  const double others = Seconds(outcome.lookup) + passes.drafting;
  const bool has_prefill = outcome.num_rows > num_sequences + num_drafted + num_fixed;
  if (num_drafted == 0) {
    took_ += kForgiveness * (saved_ - took_);
    candour_ = took_ > 0 ? std::clamp(saved_ / took_, kLeastCandour, 1.0) : 1;
    ledger_.BookPlain(has_prefill || num_fixed > 0 ? plain : seconds, num_sequences);
    if (others > 0) ledger_.BookSpeculative(others, 0, num_sequences);
    return;
  }
  // What makes this very step slow or fast (another process, the clock rate) would have done the
  // same to one without drafts; only where a prediction is well founded can that be told apart from
  // drafts that cost more than was thought. Where it is not, the predictions have what weather the
  // draft model's passes met, and a step is at least not taken for many.
  const double predicted = costs_.TargetSeconds(outcome.num_rows, outcome.num_context);
  const bool is_known = costs_.target().num_observed(outcome.num_rows) >= kKnownPasses;
  const double weather =
      is_known || has_prefill ? std::clamp(seconds / predicted, 1.0 / 3, 5.0) : 1;
  const double saved = plain * weather * (1 + static_cast<double>(num_extra) / num_sequences);
  double took = 0;
  if (has_prefill && outcome.num_rows > CostModel::kManyRows) {
    // A hundredth of a long prefill is more than all drafts beside it.
    const double row = costs_.TargetRowSeconds(outcome.num_rows, outcome.num_context);
    took = (plain + num_drafted * row) * weather + others;
  } else {
    const double counted = is_known ? seconds : std::min(seconds, kMostSurprise * predicted);
    const double beside =
        costs_.TargetSeconds(outcome.num_rows - num_drafted, outcome.num_context) - plain;
    took = counted - beside * weather + others;
  }
  ledger_.BookSpeculative(took, saved, num_sequences);
  NoteGain(took, saved);
}

// Whatever makes plans promise more than comes of them (a cost nobody models, luck taken for skill)
// is learned as one factor. Without plans it is forgotten, so that they get another chance.
void DraftPolicy::NoteGain(double took, double saved) {
  if (expected_gain_ <= 0) return;
  if (took_ == 0) took_ = saved_ = saved;
  took_ += kCandourStep * (took * expected_gain_ - took_);
  saved_ += kCandourStep * (saved - saved_);
  candour_ = std::clamp(saved_ / took_, kLeastCandour, 1.0);
}

// `share`: of the drafting that is not fixed requests'.
DraftPolicy::PassSeconds DraftPolicy::PassSecondsOf(const StepOutcome& outcome,
                                                    double share) const {
  PassSeconds sum;
  for (const DraftPass& pass : outcome.passes) {
    const double predicted = costs_.DraftSeconds(pass.num_rows, pass.num_context);
    const double seconds = std::min(Seconds(pass.time), kMostSurprise * predicted);
    double catch_up = pass.is_catch_up ? seconds : 0;
    if (!pass.is_catch_up && pass.num_rows > 3 * pass.num_sequences + kSmallGap) {
      catch_up = std::max(0.0, seconds - costs_.DraftSeconds(pass.num_sequences, 0));
    }
    sum.catch_up += catch_up * share;
    sum.drafting += (seconds - catch_up) * share;
  }
  return sum;
}

void DraftPolicy::NoteDraftCosts(const StepOutcome& outcome) {
  for (const DraftPass& pass : outcome.passes) {
    costs_.ObserveDraft(pass);
    if (pass.is_catch_up || pass.num_rows > 3 * pass.num_sequences + kSmallGap)
      has_caught_up_ = true;
  }
}

}  // namespace runahead
