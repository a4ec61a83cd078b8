// DraftModel: the smaller model of a pair, loaded beside its target and over the same block ids; or
// the target again in INT4, over the target's own K/V.
// Start-up thread only; what it hands out keeps its own rules.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/status.h"
#include "kernels/backend.h"
#include "kvcache/kv_cache.h"
#include "model/model_runner.h"
#include "model/transformer.h"
#include "server/memory_check.h"
#include "server/model_settings.h"
#include "speculative/model_drafter.h"

namespace runahead {

class DraftModel {
 public:
  // Loads the weights. `plan` has a draft; `backend` and `target` outlive the result.
  static Result<std::unique_ptr<DraftModel>> Load(Backend& backend, const ModelSettings& settings,
                                                  const ModelPlan& plan, const Transformer& target,
                                                  std::function<void(double)> progress);

  // The cache, with as many blocks as the target's, and what runs and drafts. The target's runner
  // and cache and `clock` outlive the object. Throws std::bad_alloc.
  void Allocate(const ModelPlan& plan, ModelRunner& target, KvCache& target_cache,
                const Clock& clock);

  // After Allocate.
  Drafter& drafter() { return *drafter_; }
  StepRunner& runner() { return *runner_; }

  const Transformer& transformer() const { return *transformer_; }
  const std::string& name() const { return name_; }  // the directory's, for start-up lines

 private:
  DraftModel(Backend& backend, std::string name) : backend_(backend), name_(std::move(name)) {}

  // In the order they are built; destroyed the other way round.
  Backend& backend_;
  std::string name_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<KvCache> cache_;  // null where it is the target's
  std::unique_ptr<ModelRunner> runner_;
  std::unique_ptr<ModelDrafter> drafter_;
};

}  // namespace runahead
