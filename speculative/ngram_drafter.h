// NgramDrafter: proposes what followed the latest earlier occurrence of the sequence's last tokens.
// Engine thread only.
#pragma once

#include "speculative/draft_state.h"
#include "speculative/drafter.h"

namespace runahead {

// Stateless: all it knows is DraftTask::state, whose index the engine extends. Where the match
// overlaps the sequence's end the text has a period, and the drafts continue it.
class NgramDrafter final : public Drafter {
 public:
  DrafterKind kind() const override { return DrafterKind::kNgram; }
  void Propose(std::span<DraftTask> tasks) override;

  // What Propose could say of a sequence of num_tokens tokens; nothing until all are indexed.
  static DraftOffer Offer(const DraftState& state, int num_tokens);
};

}  // namespace runahead
