// DraftState: what drafters and policy remember of one sequence. Engine thread only.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/speculation.h"
#include "speculative/acceptance.h"
#include "speculative/ngram_index.h"
#include "speculative/prediction_cursor.h"

namespace runahead {

// Owned by the engine beside the sequence, and kept while it is preempted: nothing here depends on
// K/V.
struct DraftState {
  NgramIndex ngram;             // over prompt and output, as far as it was indexed
  PredictionCursor prediction;  // where the output stands in the request's prediction
  std::array<AcceptanceRecord, kNumDrafterKinds> history;  // by DrafterKind
};

}  // namespace runahead
