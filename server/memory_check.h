// The memory a model would take, before anything is loaded: what `plan` prints and `serve` refuses
// by. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/status.h"
#include "kernels/backend.h"
#include "model/memory_plan.h"
#include "server/model_settings.h"

namespace runahead {

// The draft model of a pair: it has the target's block ids and data types, its own layers and
// width. Of kind kSelf it is the target again in INT4, with the target's tables and K/V.
struct DraftModelPlan {
  DrafterKind kind = DrafterKind::kModel;
  ModelConfig config;
  MemoryPlan memory;
  WeightFormats weight_format = {};
  RunnerLimits limits;  // max_context: beyond it nothing is drafted
};

struct ModelPlan {
  ModelConfig config;
  MemoryPlan memory;
  WeightFormats weight_format = {};
  RunnerLimits limits;
  int max_context = 0;
  int64_t num_blocks = 0;
  std::optional<DraftModelPlan> draft = std::nullopt;

  // Of all its models.
  int64_t block_bytes() const {
    return memory.block_bytes() + (draft ? draft->memory.block_bytes() : 0);
  }
  int64_t total_bytes() const {
    return memory.TotalBytes(num_blocks) + (draft ? draft->memory.TotalBytes(num_blocks) : 0);
  }
  std::string Table() const {
    return MemoryTable(memory, num_blocks, draft ? &draft->memory : nullptr);
  }
};

// From config.json alone. `backend` is asked for its layouts' sizes; nothing is allocated.
Result<ModelPlan> PlanModel(const Backend& backend, const ModelSettings& settings);

// Refuses, with the arithmetic, a plan that needs more than `available_bytes`, or whose cache
// cannot hold one full context.
Status CheckFits(const ModelPlan& plan, int64_t available_bytes);

// Bytes a model may take: of a device with memory of its own what is free there, else what this
// process may still take of the host's.
int64_t AvailableMemory(const DeviceInfo& device);

// What the system calls available, or what is left of the process's control group.
int64_t AvailableHostMemory();

}  // namespace runahead
