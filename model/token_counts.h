// TokenCounts: how often each distinct token stands in a sequence, for the penalties. Engine thread
// only.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernels/sampling_args.h"

namespace runahead {

// Kept beside a sequence whose parameters have penalties, so that a step counts only what is new
// and costs O(distinct tokens), never O(context).
class TokenCounts {
 public:
  // Brings the counts up to `prompt` (counted once) and `output` (which only grows at its end).
  void Update(std::span<const int32_t> prompt, std::span<const int32_t> output);
  void Clear();

  // Each token once, in order of first appearance; biases are 0.
  std::span<const TokenAdjust> entries() const { return entries_; }
  // Where in entries() a token stands; -1 where it does not.
  int64_t Find(int32_t token) const;

 private:
  TokenAdjust& At(int32_t token);

  std::vector<TokenAdjust> entries_;
  std::unordered_map<int32_t, size_t> index_;  // token -> entry
  size_t num_prompt_ = 0;                      // tokens counted
  size_t num_output_ = 0;
};

}  // namespace runahead
