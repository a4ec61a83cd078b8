// SpeculationParts: what the engine needs from outside to run ahead with a draft model. Value type.
#pragma once

#include "engine/draft_decider.h"
#include "speculative/cost_model.h"
#include "speculative/drafter.h"

namespace runahead {

struct SpeculationParts {
  Drafter* model = nullptr;         // borrowed; null: no draft model
  CostModel costs = {};             // measured at start-up, so that the first decision is not blind
  DraftDecider* decider = nullptr;  // borrowed; null: the engine's own policy
};

}  // namespace runahead
