// EngineConfig: the limits an engine serves within. Immutable.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/speculation.h"

namespace runahead {

// Which drafters may run ahead, in no order: the policy picks by expected gain. kModel needs the
// engine to be given one.
struct SpeculationConfig {
  std::vector<DrafterKind> drafters = {};  // empty: no speculation
  int max_drafts = kMaxDrafts;             // upper bound of k for every request
};

struct EngineConfig {
  std::vector<int32_t> eos_token_ids = {};
  int vocab_size = 0;
  int max_context = 0;  // tokens of prompt and output together
  int num_blocks = 0;
  int block_size = 16;
  int max_num_seqs = 256;  // running at once
  int max_num_batched_tokens = 2048;
  int max_logit_rows = 512;  // rows sampled in a step
  int max_queue = 1024;      // waiting requests beyond which Submit refuses
  Duration batch_wait = {};  // wait up to this long to fill a first batch
  bool enable_prefix_cache = true;
  SpeculationConfig speculation = {};
  Duration stuck_after = std::chrono::seconds(60);  // a step longer than this turns health red
  std::optional<uint64_t> seed =
      {};  // of the seeds that requests draw; absent: the system's entropy
};

}  // namespace runahead
