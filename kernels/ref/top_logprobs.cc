#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/ref/ops.h"

namespace runahead::ref {
namespace {

// log(sum(exp(logits)))
double LogSumExp(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return highest + std::log(sum);
}

}  // namespace

void TopLogprobs(const TopLogprobsArgs& args) {
  CheckArgs(args);
  const auto vocab = static_cast<size_t>(args.logits.RowElements());
  const auto top_n = static_cast<size_t>(args.top_n);
  std::vector<int32_t> ids(vocab);
  const int32_t* chosen = args.drawn != nullptr ? args.drawn : args.chosen.data();
  for (size_t r = 0; r < static_cast<size_t>(args.logits.dim(0)); ++r) {
    const std::span<const float> logits(args.logits.Row<float>(static_cast<int64_t>(r)), vocab);
    const double total = LogSumExp(logits);
    const auto logprob = [&](int32_t id) {
      return static_cast<float>(logits[static_cast<size_t>(id)] - total);
    };
    args.chosen_logprobs[r] = 0;
    args.chosen_ranks[r] = 0;
    if (const int32_t id = chosen[r]; id >= 0) {
      const float own = logits[static_cast<size_t>(id)];
      args.chosen_logprobs[r] = logprob(id);
      args.chosen_ranks[r] =
          1 + static_cast<int32_t>(
                  std::count_if(logits.begin(), logits.end(), [&](float l) { return l > own; }));
    }
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    for (size_t i = 0; i < top_n; ++i) {
      args.top_ids[r * top_n + i] = ids[i];
      args.top_logprobs[r * top_n + i] = logprob(ids[i]);
    }
  }
}

}  // namespace runahead::ref
