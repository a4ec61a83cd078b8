// Counts a request a door refused before the engine saw it. Thread-safe.
#pragma once

#include "core/status.h"
#include "engine/metrics.h"

namespace runahead {

// `status` says why; every refused request is counted once, by whoever refused it: the door, or
// Generation::Start (which counts its own refusals, and the engine's).
void CountRejection(Metrics& metrics, const Status& status);

}  // namespace runahead
