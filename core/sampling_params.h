// SamplingParams: how a request wants its tokens chosen. Immutable once submitted.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace runahead {

// Validated by the front end; the engine relies on the ranges named.
struct SamplingParams {
  float temperature = 1;         // [0, 2] over OpenAI's API, any finite >= 0 here; 0 is greedy
  int32_t top_k = 0;             // 0: all
  float top_p = 1;               // (0, 1]
  float min_p = 0;               // [0, 1]
  float repetition_penalty = 1;  // > 0
  float presence_penalty = 0;    // [-2, 2]
  float frequency_penalty = 0;   // [-2, 2]
  uint64_t seed = 0;             // drawn at admission where the client gave none
  std::vector<std::pair<int32_t, float>> logit_bias =
      {};                                       // ids ascending, each once; -100 and below bans
  std::vector<int32_t> allowed_token_ids = {};  // ascending; empty: all
  std::vector<int32_t> banned_token_ids = {};
  int num_logprobs = -1;         // -1: none; else the sampled token's and this many top ones, 0..20
  int num_prompt_logprobs = -1;  // likewise for every prompt token but the first

  bool IsGreedy() const { return temperature == 0; }
  bool HasPenalties() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0;
  }
};

}  // namespace runahead
