// Drafter: proposes tokens that the target then judges. Engine thread only.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/speculation.h"
#include "speculative/cost_model.h"
#include "speculative/draft_task.h"

namespace runahead {

// What a lookup drafter could propose now, known before it is asked to.
struct DraftOffer {
  DrafterKind drafter = DrafterKind::kNone;
  int max_drafts = 0;    // it has so many tokens
  int match_length = 0;  // tokens of context that agree: longer is surer
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  virtual DrafterKind kind() const = 0;
  // Fills every task's answer. What is proposed is a function of the task alone, never of the
  // others.
  virtual void Propose(std::span<DraftTask> tasks) = 0;
  // Whole K/V blocks to copy before a step runs, as in StepRunner.
  virtual void CopyBlocks(std::span<const int32_t> /*from*/, std::span<const int32_t> /*to*/) {}
  // As in StepRunner, of the passes of Propose.
  virtual void DoMeanwhile(const std::function<void()>& /*work*/) {}
  // The forward passes of the last Propose; none for a drafter without a model.
  virtual std::span<const DraftPass> passes() const { return {}; }
};

}  // namespace runahead
