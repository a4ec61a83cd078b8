// ModelHost: builds one served model from its settings, bottom to top, and owns it. Start-up thread
// only; what it hands out keeps its own rules.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/status.h"
#include "engine/draft_decider.h"
#include "engine/engine.h"
#include "kernels/backend.h"
#include "kvcache/kv_cache.h"
#include "model/model_runner.h"
#include "model/transformer.h"
#include "server/draft_model.h"
#include "server/memory_check.h"
#include "server/model_settings.h"
#include "server/served_model.h"
#include "speculative/cost_model.h"

namespace runahead {

using DeciderMaker = std::function<std::unique_ptr<DraftDecider>(const CostModel&)>;

class ModelHost {
 public:
  // Loads, allocates and starts the engine. Errors are one line with the cause and the fix; what
  // does not fit in memory is refused with the arithmetic. `progress` hears the fraction of the
  // weights loaded.
  // `make_decider`: of who decides on drafts, from the costs measured; none: the engine's own
  // policy.
  static Result<std::unique_ptr<ModelHost>> Load(const ModelSettings& settings, const Clock& clock,
                                                 Logger& logger,
                                                 std::function<void(double)> progress,
                                                 DeciderMaker make_decider = nullptr);

  ServedModel& served() { return served_; }
  Engine& engine() { return *engine_; }
  Metrics& metrics() { return metrics_; }
  const Backend& backend() const { return *backend_; }
  const Transformer& transformer() const { return *transformer_; }
  const KvCache& cache() const { return *cache_; }
  const DraftModel* draft() const { return draft_.get(); }  // null: none
  const ModelSettings& settings() const { return settings_; }

  // What a start-up log says: model, device, blocks, bytes per token, and what speculation is on.
  std::vector<std::string> Describe() const;

 private:
  explicit ModelHost(ModelSettings settings) : settings_(std::move(settings)) {}

  Status LoadText();
  Status LoadModel(std::function<void(double)> progress);
  Status CheckPair() const;
  Status AllocateCache(const Clock& clock);
  CostModel MeasureSteps(const Clock& clock);
  void StartEngine(const Clock& clock, Logger& logger, const DeciderMaker& make_decider);
  std::string DescribeSpeculation() const;

  // In the order they are built; destroyed the other way round.
  ModelSettings settings_;
  ModelPlan plan_;
  Metrics metrics_;
  std::string backend_notice_;  // why "auto" did not take CUDA, where it might have
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<ModelRunner> runner_;
  std::unique_ptr<DraftModel> draft_;  // null: none
  double draft_cost_ratio_ = 0;  // a step of the draft model over one of the target's, of one row
  ServedModel served_;
  std::unique_ptr<DraftDecider> decider_;  // null: the engine's own
  std::unique_ptr<Engine> engine_;
};

}  // namespace runahead
