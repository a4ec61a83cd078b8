#include "engine/policy_decider.h"

#include <algorithm>

namespace runahead {
namespace {

// Until the policy measures: a modest k of whoever is surest.
constexpr int kModestDrafts = 4;

DraftChoice Choose(const PolicySequence& sequence) {
  DraftChoice choice;
  if (sequence.offers.empty()) return choice;
  const auto best = std::ranges::max_element(sequence.offers, {}, &DraftOffer::match_length);
  const bool is_fixed = sequence.params.mode == SpeculationMode::kFixed;
  choice.drafter = best->drafter;
  choice.num_drafts = std::min({best->max_drafts, sequence.max_drafts,
                                is_fixed ? sequence.params.max_tokens : kModestDrafts});
  if (best->drafter == DrafterKind::kModel) choice.num_catch_up = sequence.num_missing;
  return choice;
}

}  // namespace

PolicyDecider::PolicyDecider(const CostModel&) {}

void PolicyDecider::Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) {
  for (const PolicySequence& sequence : step.sequences) choices.push_back(Choose(sequence));
}

void PolicyDecider::Observe(const StepOutcome&) {}

}  // namespace runahead
