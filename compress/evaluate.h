// Evaluation: runs a model, and a reference beside it, over a text and compares what they expect.
// One thread: the engine thread's place is the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "compress/eval_summary.h"
#include "core/status.h"
#include "kernels/backend.h"
#include "model/model_runner.h"

namespace runahead {

// A model with its runner and a cache of enough blocks for one window; borrowed.
struct EvalModel {
  Backend* backend = nullptr;
  ModelRunner* runner = nullptr;
  RunnerLimits limits;  // the runner's
  int vocab = 0;        // columns of its logits: config().vocab_limit
};

struct EvalOptions {
  int window = 512;  // tokens, at most limits.max_context of both
  int stride = 256;
  std::function<void(double fraction)> progress = {};  // may be empty
};

// Scores every token of `ids` but the first. `reference` may be null. kInvalidArgument where there
// is nothing to score or an id is none of the vocabulary's, kInternal where a model's logits are no
// numbers.
Result<EvalSummary> Evaluate(const EvalModel& model, const EvalModel* reference,
                             std::span<const int32_t> ids, const EvalOptions& options);

}  // namespace runahead
