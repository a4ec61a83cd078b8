// PolicyDecider: the decider of production: DraftPolicy, from measured costs and acceptance. Engine
// thread only.
#pragma once

#include <vector>

#include "engine/draft_decider.h"
#include "speculative/cost_model.h"

namespace runahead {

class PolicyDecider final : public DraftDecider {
 public:
  explicit PolicyDecider(const CostModel& costs);

  void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) override;
  void Observe(const StepOutcome& outcome) override;
};

}  // namespace runahead
