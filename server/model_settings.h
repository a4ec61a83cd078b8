// ModelSettings: how one model is loaded and served. Value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/dtype.h"
#include "core/speculation.h"
#include "kernels/registry.h"
#include "kernels/sampling_args.h"
#include "model/transformer.h"

namespace runahead {

struct SpeculationSettings {
  std::string draft_directory;              // empty: no draft model
  std::string draft_quantization = "same";  // same (as the model's), none, int8, int4
  // Who may draft; absent: the draft model where there is one, n-gram and prediction.
  std::optional<std::vector<DrafterKind>> drafters;
  int max_drafts = kMaxDrafts;
  VerifyMode verification = VerifyMode::kCoupled;
  SpeculationMode mode = SpeculationMode::kAuto;  // of requests that do not say

  // The drafters as they will be.
  std::vector<DrafterKind> Drafters() const {
    std::vector<DrafterKind> kinds =
        drafters.value_or(std::vector{DrafterKind::kNgram, DrafterKind::kPrediction});
    if (!drafters && !draft_directory.empty()) kinds.push_back(DrafterKind::kModel);
    return kinds;
  }
};

// How weights are rounded while they load.
struct QuantizationSettings {
  std::string format = "none";  // none (as the checkpoint has them), int8, int4
  int group_size = 128;         // of int4
  bool has_zero_points = false;
  std::vector<std::string> overrides = {};  // "pattern=format"
};

struct ModelSettings {
  std::string directory;
  std::string served_name;  // empty: the directory's name, or its parent's for .../target
  std::string backend = "auto";
  BackendOptions backend_options;
  LoadFormat load_format = LoadFormat::kAuto;
  std::string dtype = "auto";  // weights: auto, f32, bf16, f16
  QuantizationSettings quantization;
  std::string kv_cache_dtype = "auto";  // auto (as the weights), f32, bf16, int8
  int max_model_len = 0;                // 0: what the checkpoint says
  int block_size = 16;
  int64_t kv_cache_bytes = 0;  // 0: what fits (see docs/configuration.md)
  int num_kv_blocks = 0;       // 0: as kv_cache_bytes says
  int max_num_seqs = 256;
  int max_num_batched_tokens = 2048;
  int max_logit_rows = 512;
  int max_queue = 1024;
  Duration batch_wait = {};
  bool enable_prefix_caching = true;
  SpeculationSettings speculation;
  bool loads_text = true;  // tokenizer and chat template; a bench of token ids needs neither
  Duration stuck_after = std::chrono::seconds(60);
  Duration default_timeout = {};  // of requests without a deadline; 0: none
  std::optional<uint64_t> seed;   // of the seeds that requests draw; absent: the system's entropy
};

}  // namespace runahead
