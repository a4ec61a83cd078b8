// StepRecorder: the policy of production, and a record of what every step took. Decides and
// observes on the engine's thread; `Take` from any.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "engine/policy_decider.h"
#include "server/even_costs.h"

namespace runahead {

struct StepTrace {
  std::vector<TimedRun> target = {};
  std::vector<TimedRun> draft = {};  // passes of the draft model, catching up included
};

class StepRecorder final : public DraftDecider {
 public:
  explicit StepRecorder(const CostModel& costs) : policy_(costs) {}

  // Steps since the last call.
  StepTrace Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(trace_, {});
  }

  void Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) override {
    policy_.Decide(step, choices);
  }
  void Observe(const StepOutcome& outcome) override {
    policy_.Observe(outcome);
    const std::lock_guard lock(mutex_);
    trace_.target.push_back({outcome.num_rows, Seconds(outcome.target)});
    for (const DraftPass& pass : outcome.passes) {
      trace_.draft.push_back({pass.num_rows, Seconds(pass.time)});
    }
  }
  double loss_seconds() const override { return policy_.loss_seconds(); }
  double booked_seconds() const override { return policy_.booked_seconds(); }
  bool allows_drafts() const override { return policy_.allows_drafts(); }

 private:
  PolicyDecider policy_;
  std::mutex mutex_;
  StepTrace trace_;  // guarded by mutex_
};

}  // namespace runahead
