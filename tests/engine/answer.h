// Answer: everything a request got that must not depend on how it was served. One thread.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "loop_fixture.h"

namespace runahead {

struct Answer {
  std::vector<std::vector<int32_t>> tokens;  // by choice
  std::vector<FinishReason> finishes;
  std::vector<uint32_t> logprob_bits;  // of every choice's tokens and tops, then of the prompt

  bool operator==(const Answer&) const = default;
};

inline void AppendBits(const std::vector<PositionLogprobs>& logprobs, std::vector<uint32_t>& bits) {
  for (const PositionLogprobs& position : logprobs) {
    bits.push_back(static_cast<uint32_t>(position.chosen.token));
    bits.push_back(std::bit_cast<uint32_t>(position.chosen.logprob));
    bits.push_back(static_cast<uint32_t>(position.chosen.rank));
    for (const TokenLogprob& top : position.top) {
      bits.push_back(static_cast<uint32_t>(top.token));
      bits.push_back(std::bit_cast<uint32_t>(top.logprob));
    }
  }
}

inline Answer AnswerOf(Client& client, int num_choices) {
  client.Take();
  Answer answer;
  for (int choice = 0; choice < num_choices; ++choice) {
    answer.tokens.push_back(client[choice].tokens);
    answer.finishes.push_back(client[choice].finish);
    AppendBits(client[choice].logprobs, answer.logprob_bits);
  }
  AppendBits(client.prompt_logprobs, answer.logprob_bits);
  return answer;
}

}  // namespace runahead
