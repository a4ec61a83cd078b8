// Logprobs of one position, as they travel from the runner to the client. Value type.
#pragma once

#include <cstdint>
#include <vector>

namespace runahead {

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural log of the model's own probability, before any processing
  int32_t rank = 0;   // 1-based
};

struct PositionLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // most likely first; may or may not hold `chosen`
};

}  // namespace runahead
