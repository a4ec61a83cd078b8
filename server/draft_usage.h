// DraftUsage: what speculation did for the tokens of an answer, as its usage tells it. One thread
// at a time.
#pragma once

#include <array>

#include "core/speculation.h"
#include "engine/request.h"

namespace runahead {

struct DraftUsage {
  struct Counts {
    int drafted_tokens = 0;
    int accepted_tokens = 0;
  };
  std::array<Counts, kNumDrafterKinds> by_drafter = {};  // by DrafterKind; of kNone: nothing
  int target_steps = 0;  // steps of the target that gave tokens, summed over the choices

  const Counts& of(DrafterKind kind) const { return by_drafter[static_cast<size_t>(kind)]; }
  Counts total() const;
  void Add(const DraftUsage& other);
};

// Adds up one choice's tokens as they are counted for its usage. A step's accepted drafts come
// first and the target's own token last, so a rejected draft is known with the latter: an answer
// that ends inside a run of accepted drafts says nothing of those behind its end.
class DraftTally {
 public:
  void Count(const TokenEvent& event, DraftUsage& usage);

 private:
  DrafterKind drafter_ = DrafterKind::kNone;  // of the step whose tokens arrive
  int num_undecided_ = 0;                     // its drafts beyond those accepted so far
};

}  // namespace runahead
