#include "speculative/prediction_drafter.h"

#include <algorithm>

namespace runahead {

DraftOffer PredictionDrafter::Offer(const DraftState& state) {
  const int count = static_cast<int>(state.prediction.Next(kMaxDrafts).size());
  if (count == 0) return {};
  return {.drafter = DrafterKind::kPrediction,
          .max_drafts = count,
          .match_length = state.prediction.num_agreed()};
}

void PredictionDrafter::Propose(std::span<DraftTask> tasks) {
  for (DraftTask& task : tasks) {
    const std::span<const int32_t> next =
        task.state->prediction.Next(std::min(task.max_drafts, kMaxDrafts));
    std::copy(next.begin(), next.end(), task.drafts.begin());
    task.num_drafts = static_cast<int>(next.size());
    task.num_computed_after = task.num_computed;
  }
}

}  // namespace runahead
