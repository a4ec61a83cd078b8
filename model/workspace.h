// WorkspaceLayout: where each buffer of a runner lies in its one allocation. Value type.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "model/model_config.h"
#include "model/model_runner.h"

namespace runahead {

inline constexpr int kSurvivorCapacity =
    1024;  // listed per row; a longer list is not worth writing

// Offsets in bytes. T = max_rows, R = max_logit_rows; the vocabulary is whole, padding included.
struct WorkspaceLayout {
  WorkspaceLayout(const ModelConfig& config, const RunnerLimits& limits, DType activation);

  int64_t residual, branch;     // [T, H]
  int64_t normed, attention;    // [T, H], [T, Nq D] in the widest input format
  int64_t qkv, gate_up, gated;  // [T, ..]
  int64_t gathered;             // [R, H]
  int64_t logits;               // [R, V] f32
  int64_t spare;                // [MaxVerifyRows, V] f32: raw logits kept aside in one slice
  int64_t survivor_ids, survivor_counts;
  int64_t last_tokens;   // [R] drawn by the slice, a sequence each
  int64_t draft_logits;  // [R, V] f32 in rejection mode
  int64_t total = 0;

 private:
  int64_t Add(int64_t bytes);
};

}  // namespace runahead
