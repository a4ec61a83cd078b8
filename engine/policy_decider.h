// PolicyDecider: the decider of production, DraftPolicy. Engine thread only.
#pragma once

#include <vector>

#include "engine/draft_decider.h"
#include "speculative/draft_policy.h"

namespace runahead {

class PolicyDecider final : public DraftDecider {
 public:
  explicit PolicyDecider(const CostModel& costs) : policy_(costs) {}

  void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) override {
    policy_.Decide(step, choices);
  }
  void Observe(const StepOutcome& outcome) override { policy_.Observe(outcome); }
  double loss_seconds() const override { return policy_.ledger().loss_seconds(); }
  double booked_seconds() const override { return policy_.ledger().decode_seconds(); }
  bool allows_drafts() const override { return policy_.ledger().allows_drafts(); }

 private:
  DraftPolicy policy_;
};

}  // namespace runahead
