#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/sampling.h"

namespace runahead::cpu {
namespace {

// Puts into `ids`, ascending, tokens among which are the `num_wanted` most likely: usually those
// within e^-6 of the best, else every token above -infinity.
void CollectLikely(std::span<const float> logits, float highest, int64_t num_wanted,
                   const KernelTable& kernels, std::vector<int32_t>& ids) {
  const auto vocab = static_cast<int64_t>(logits.size());
  ids.resize(logits.size());
  int64_t count = 0;
  for (const float bound : {highest - 6, -INFINITY}) {
    count = kernels.collect(logits.data(), vocab, bound, false, ids.data(), vocab);
    if (count >= num_wanted) break;
  }
  ids.resize(static_cast<size_t>(count));
}

void FillRow(const TopLogprobsArgs& args, int64_t row, const KernelTable& kernels,
             std::vector<int32_t>& ids) {
  const auto r = static_cast<size_t>(row);
  const auto vocab = args.logits.RowElements();
  const std::span<const float> logits(args.logits.Row<float>(row), static_cast<size_t>(vocab));
  const float highest = kernels.max(logits.data(), vocab);
  const double total = highest + std::log(kernels.sum_exp(logits.data(), vocab, highest));
  const auto logit = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  const int32_t chosen = args.drawn != nullptr ? args.drawn[r] : args.chosen[r];
  args.chosen_logprobs[r] = chosen < 0 ? 0 : static_cast<float>(logit(chosen) - total);
  args.chosen_ranks[r] =
      chosen < 0
          ? 0
          : 1 + static_cast<int32_t>(kernels.count_greater(logits.data(), vocab, logit(chosen)));
  if (args.top_n == 0) return;
  CollectLikely(logits, highest, args.top_n, kernels, ids);
  // A row with fewer tokens above -infinity than asked for is filled up with the lowest banned ids.
  for (int32_t id = 0; ids.size() < static_cast<size_t>(args.top_n); ++id) {
    if (!(logit(id) > -INFINITY)) ids.push_back(id);
  }
  std::partial_sort(ids.begin(), ids.begin() + args.top_n, ids.end(), [&](int32_t a, int32_t b) {
    return logit(a) > logit(b) || (!(logit(b) > logit(a)) && a < b);
  });
  for (size_t i = 0; i < static_cast<size_t>(args.top_n); ++i) {
    const size_t to = r * static_cast<size_t>(args.top_n) + i;
    args.top_ids[to] = ids[i];
    args.top_logprobs[to] = static_cast<float>(logit(ids[i]) - total);
  }
}

}  // namespace

void TopLogprobs(const TopLogprobsArgs& args, const SamplingContext& context) {
  CheckArgs(args);
  ForLogitRows(
      args.logits.dim(0), args.logits.RowElements(), context.pool, [&](int thread, int64_t row) {
        FillRow(args, row, context.kernels, context.scratch[static_cast<size_t>(thread)].ids);
      });
}

}  // namespace runahead::cpu
