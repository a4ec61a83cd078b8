// LogprobRowsOutput: what TopLogprobs leaves, by row. Engine thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/logprobs.h"
#include "kernels/sampling_args.h"

namespace runahead {

// Host outputs of one TopLogprobs call, at most `rows` rows of it.
struct LogprobRowsOutput {
  static constexpr size_t kMaxTop = 20;

  explicit LogprobRowsOutput(size_t rows)
      : chosen(rows), logprobs(rows), ranks(rows), top_ids(rows * kMaxTop), tops(rows * kMaxTop) {}

  TopLogprobsArgs Args(const TensorView& logits, int top_n) {
    const auto rows = static_cast<size_t>(logits.dim(0));
    const size_t listed = rows * static_cast<size_t>(top_n);
    return {.logits = logits,
            .chosen = std::span(chosen).first(rows),
            .top_n = top_n,
            .chosen_logprobs = std::span(logprobs).first(rows),
            .chosen_ranks = std::span(ranks).first(rows),
            .top_ids = std::span(top_ids).first(listed),
            .top_logprobs = std::span(tops).first(listed)};
  }

  // Row `row` of a call that listed top_n, cut to the `wanted` most likely.
  void Read(size_t row, int top_n, int wanted, PositionLogprobs& out) const {
    out.chosen = {.token = chosen[row], .logprob = logprobs[row], .rank = ranks[row]};
    out.top.clear();
    for (int i = 0; i < std::min(wanted, top_n); ++i) {
      const size_t at = row * static_cast<size_t>(top_n) + static_cast<size_t>(i);
      out.top.push_back({.token = top_ids[at], .logprob = tops[at], .rank = i + 1});
    }
  }

  std::vector<int32_t> chosen;
  std::vector<float> logprobs;
  std::vector<int32_t> ranks;
  std::vector<int32_t> top_ids;
  std::vector<float> tops;
};

}  // namespace runahead
