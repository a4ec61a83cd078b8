#include "speculative/ngram_drafter.h"

#include <algorithm>

namespace runahead {

DraftOffer NgramDrafter::Offer(const DraftState& state, int num_tokens) {
  if (state.ngram.num_indexed() != num_tokens) return {};
  const NgramMatch match = state.ngram.Longest();
  if (match.length == 0) return {};
  return {.drafter = DrafterKind::kNgram, .max_drafts = kMaxDrafts, .match_length = match.length};
}

void NgramDrafter::Propose(std::span<DraftTask> tasks) {
  for (DraftTask& task : tasks) {
    const DraftOffer offer = Offer(*task.state, static_cast<int>(task.tokens.size()));
    task.num_drafts = std::min(task.max_drafts, offer.max_drafts);
    task.num_computed_after = task.num_computed;
    const auto next = static_cast<size_t>(task.state->ngram.Longest().next);
    for (size_t i = 0; i < static_cast<size_t>(task.num_drafts); ++i) {
      const size_t from = next + i;
      task.drafts[i] =
          from < task.tokens.size() ? task.tokens[from] : task.drafts[from - task.tokens.size()];
    }
  }
}

}  // namespace runahead
