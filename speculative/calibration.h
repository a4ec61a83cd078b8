// Calibrate: measures, before serving, what steps of target and draft model take. Engine's runners
// are used before the engine has them; one thread.
#pragma once

#include <chrono>

#include "core/clock.h"
#include "model/model_runner.h"
#include "speculative/cost_model.h"

namespace runahead {

struct CalibrationOptions {
  RunnerLimits limits = {};
  RunnerLimits draft_limits = {};
  int num_blocks = 0;  // of the caches; their first blocks are written to
  // Not begun is what would probably end later; what remains is filled with repetitions, of which
  // the fastest counts.
  Duration budget = std::chrono::seconds(2);
};

// Times target steps of 1 to 64 rows (up to six of one sequence, more in sequences of four) and
// draft passes of 1 to 64 sequences, most telling sizes first, and one chunk of catching up. The
// share of the context is left to serving. `draft` may be null. Cache contents do not matter, and
// are garbage afterwards: nothing may have been published.
CostModel Calibrate(StepRunner& target, StepRunner* draft, const CalibrationOptions& options,
                    const Clock& clock);

}  // namespace runahead
