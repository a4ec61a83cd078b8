// ValidateRequest: refuses what the engine must not be given. Thread-safe.
#pragma once

#include "core/status.h"
#include "engine/engine_config.h"
#include "engine/metrics.h"
#include "engine/request.h"

namespace runahead {

// kInvalidArgument naming the field. Ids are checked against the vocabulary and numbers against the
// ranges of SamplingParams, because a wrong one would harm other requests of the batch.
Status ValidateRequest(const EngineConfig& config, const Request& request);

// How Submit's refusal is counted.
RejectReason RejectReasonOf(const Status& refusal);

}  // namespace runahead
