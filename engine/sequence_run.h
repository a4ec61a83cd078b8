// SequenceRun: what the runner is told about one scheduled sequence, and the prompt logprobs it
// tells back. Engine thread only.
#pragma once

#include <span>
#include <vector>

#include "core/logprobs.h"
#include "engine/active_request.h"
#include "model/model_runner.h"
#include "scheduler/batch.h"

namespace runahead {

// Borrows the sequence's tokens and blocks and the request's parameters and counts: valid until
// Apply.
SequenceRun RunOf(const ScheduledSequence& scheduled, ActiveRequest& request);

// What DraftTask::run asks for. Borrows likewise, until Apply.
SequenceRun DraftRunOf(const ScheduledSequence& scheduled, ActiveRequest& request);

// Takes over the logprobs of prompt tokens not judged before: rows[i] judged the token after the
// run's i-th. Before Apply. A preempted sequence runs rows again whose logprobs are here already.
void TakePromptLogprobs(const ScheduledSequence& scheduled, std::span<const PositionLogprobs> rows,
                        ActiveRequest& request);

}  // namespace runahead
