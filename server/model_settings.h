// ModelSettings: how one model is loaded and served. Value type.
#pragma once

#include <cstdint>
#include <string>

#include "core/clock.h"
#include "core/dtype.h"
#include "kernels/registry.h"
#include "model/transformer.h"

namespace runahead {

struct ModelSettings {
  std::string directory;
  std::string served_name;  // empty: the directory's name, or its parent's for .../target
  std::string backend = "auto";
  BackendOptions backend_options;
  LoadFormat load_format = LoadFormat::kAuto;
  std::string dtype = "auto";           // weights: auto, f32, bf16
  std::string kv_cache_dtype = "auto";  // auto (as the weights), f32, bf16
  int max_model_len = 0;                // 0: what the checkpoint says
  int block_size = 16;
  int64_t kv_cache_bytes = 0;  // 0: what fits (see docs/configuration.md)
  int max_num_seqs = 256;
  int max_num_batched_tokens = 2048;
  int max_logit_rows = 512;
  int max_queue = 1024;
  Duration batch_wait = {};
  bool enable_prefix_caching = true;
  bool loads_text = true;  // tokenizer and chat template; a bench of token ids needs neither
  Duration stuck_after = std::chrono::seconds(60);
};

}  // namespace runahead
