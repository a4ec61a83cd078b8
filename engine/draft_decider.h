// DraftDecider: chooses who drafts how much in a step: the policy, or in tests whatever puts the
// rest of the engine to the test. Engine thread only.
#pragma once

#include <vector>

#include "speculative/draft_policy.h"

namespace runahead {

class DraftDecider {
 public:
  virtual ~DraftDecider() = default;
  // As DraftPolicy's. No choice can change a token, only how fast it comes.
  virtual void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) = 0;
  virtual void Observe(const StepOutcome& outcome) = 0;
  // What the ledger says.
  virtual double loss_seconds() const { return 0; }
  virtual double booked_seconds() const { return 0; }
  virtual bool allows_drafts() const { return true; }
};

}  // namespace runahead
