// PredictionDrafter: proposes what the request itself predicted as its output. Engine thread only.
#pragma once

#include "speculative/draft_state.h"
#include "speculative/drafter.h"

namespace runahead {

// Stateless: all it knows is DraftTask::state, whose cursor the engine has follow the output.
class PredictionDrafter final : public Drafter {
 public:
  DrafterKind kind() const override { return DrafterKind::kPrediction; }
  void Propose(std::span<DraftTask> tasks) override;

  // What Propose could say now.
  static DraftOffer Offer(const DraftState& state);
};

}  // namespace runahead
