// MemoryPlan: what serving a model takes, from its configuration alone. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"
#include "kernels/backend.h"
#include "kvcache/kv_cache.h"
#include "model/model_config.h"
#include "model/model_runner.h"
#include "model/safetensors.h"
#include "model/weight_formats.h"

namespace runahead {

struct MemoryRequest {
  WeightFormats weight_format = {};  // that FormatsOf takes
  DType kv_dtype = DType::kBF16;
  RunnerLimits limits;
  // LoadOptions::original, over the original's cache: the tables and the K/V are not its own.
  bool is_copy = false;
};

// Exactly what the loader, the runner and the cache allocate on the device. Not in it: the
// backend's own plans and scratch (kilobytes per sequence), the host's queues, and the checkpoint's
// pages, which the system may drop while it loads.
struct MemoryPlan {
  int64_t num_weights = 0;      // parameters, a tied head counted once
  int64_t num_linear = 0;       // of linear layers, the head included
  int64_t linear_bytes = 0;     // packed linear layers, the head included
  int64_t table_bytes = 0;      // embedding
  int64_t small_bytes = 0;      // norm gains and the rope table
  int64_t workspace_bytes = 0;  // activations and logits
  KvCacheShape kv_shape;

  // Of linear layers as packed: what a decode step reads for each of their weights.
  double bits_per_weight() const {
    return 8 * static_cast<double>(linear_bytes) / static_cast<double>(num_linear);
  }
  int64_t weight_bytes() const { return linear_bytes + table_bytes + small_bytes; }
  int64_t fixed_bytes() const { return weight_bytes() + workspace_bytes; }
  int64_t block_bytes() const { return kv_shape.BlockBytes(); }
  int64_t token_bytes() const { return block_bytes() / kv_shape.block_size; }
  int64_t TotalBytes(int64_t num_blocks) const {
    return fixed_bytes() + num_blocks * block_bytes();
  }
  // Blocks that fit beside the rest in `budget_bytes`; 0 where not even the rest does.
  int64_t BlocksWithin(int64_t budget_bytes) const;
  // Blocks that hold `num_tokens` of one sequence.
  int64_t BlocksFor(int64_t num_tokens) const;
  // Bytes that one step at batch 1 reads of the weights: all but the table's other rows.
  int64_t bytes_per_token_step() const { return linear_bytes; }
};

// `backend` is asked for its layouts' sizes; nothing is allocated.
MemoryPlan PlanMemory(const Backend& backend, const ModelConfig& config,
                      const MemoryRequest& request);

// "int4-g128, embeddings int8, 4.31 bits a weight": how the weights are kept.
std::string WeightsText(const ModelConfig& config, const WeightFormats& formats,
                        const MemoryPlan& plan);

// One line per item, ending with a total for num_blocks: the arithmetic `plan` prints and a refusal
// shows. `draft` (null: none) is the plan of a draft model over the same blocks.
std::string MemoryTable(const MemoryPlan& plan, int64_t num_blocks,
                        const MemoryPlan* draft = nullptr);

// Checks by headers alone that a checkpoint has every tensor of the model, in the right shape, and
// no other; gives the bytes of its tensors.
Result<int64_t> CheckCheckpoint(const std::string& directory, const ModelConfig& config);

}  // namespace runahead
