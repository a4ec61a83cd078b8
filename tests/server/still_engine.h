// A served model whose engine has limits and no weights: for what needs a ServedModel but no token.
#pragma once

#include "core/clock.h"
#include "core/log.h"
#include "engine/engine.h"
#include "model/model_runner.h"
#include "server/served_model.h"

namespace runahead {

class NoRunner final : public StepRunner {
 public:
  const ModelOutput& Run(std::span<const SequenceRun>) override {
    RA_CHECK(false, "this engine is never asked for tokens");
    return output_;
  }
  void CopyBlocks(std::span<const int32_t>, std::span<const int32_t>) override {}

 private:
  ModelOutput output_;
};

// Vocabulary 100, context 256.
class StillEngine {
 public:
  StillEngine() {
    model_.name = "still";
    model_.max_context = 256;
    model_.engine = &engine_;
    model_.metrics = &metrics_;
    model_.clock = &clock_;
  }
  ServedModel& model() { return model_; }
  Metrics& metrics() { return metrics_; }

 private:
  SteadyClock clock_;
  Metrics metrics_;
  NullLogger logger_;
  NoRunner runner_;
  Engine engine_{{.vocab_size = 100, .max_context = 256, .num_blocks = 64},
                 runner_,
                 clock_,
                 metrics_,
                 logger_};
  ServedModel model_;
};

}  // namespace runahead
