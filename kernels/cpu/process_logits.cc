#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/sampling.h"

namespace runahead::cpu {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

// Tokens this far below the best weigh less than 1.2e-7 of it each: a first guess at who can
// survive.
constexpr float kReach = 16;

template <typename T>
std::span<const T> CsrRow(std::span<const T> values, std::span<const int32_t> offsets, size_t row) {
  if (offsets.empty()) return {};
  const auto begin = static_cast<size_t>(offsets[row]);
  return values.subspan(begin, static_cast<size_t>(offsets[row + 1]) - begin);
}

// Bans everything but `ids`.
void KeepOnly(std::span<float> logits, std::span<const int32_t> ids, std::vector<float>& kept) {
  kept.clear();
  for (const int32_t id : ids) kept.push_back(logits[static_cast<size_t>(id)]);
  std::fill(logits.begin(), logits.end(), kBanned);
  for (size_t i = 0; i < ids.size(); ++i) logits[static_cast<size_t>(ids[i])] = kept[i];
}

void Adjust(std::span<float> logits, std::span<const TokenAdjust> adjusts,
            const LogitParams& params) {
  for (const TokenAdjust& adjust : adjusts) {
    RA_CHECK(adjust.token >= 0 && static_cast<size_t>(adjust.token) < logits.size());
    float& logit = logits[static_cast<size_t>(adjust.token)];
    logit += adjust.bias;
    if (adjust.in_prompt || adjust.output_count > 0) {
      logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    }
    if (adjust.output_count > 0) logit -= params.presence_penalty;
    logit -= params.frequency_penalty * static_cast<float>(adjust.output_count);
  }
}

// The survivors of one row. Every filter keeps a prefix of the ranking (most likely first, lower id
// first among equals), so the row keeps the shortest of the prefixes.
class RowFilter {
 public:
  RowFilter(std::span<float> logits, const LogitParams& params, const KernelTable& kernels,
            SamplingScratch& scratch)
      : logits_(logits), params_(params), kernels_(kernels), ids_(scratch.ids) {}

  // Leaves the survivors in the scratch ids, ascending.
  void Run() {
    const auto vocab = static_cast<int64_t>(logits_.size());
    highest_ = kernels_.max(logits_.data(), vocab);
    ids_.clear();
    if (highest_ == kBanned) return;
    const float reach =
        CollectLikely(logits_, highest_, std::max(1, params_.top_k), kernels_, ids_);
    if (!Cut(reach)) {
      CollectLikely(logits_, highest_, vocab, kernels_, ids_);
      Cut(INFINITY);
    }
    std::sort(ids_.begin(), ids_.end());
  }

 private:
  bool Before(int32_t a, int32_t b) const {
    const float x = logits_[static_cast<size_t>(a)];
    const float y = logits_[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  }
  auto Order() const {
    return [this](int32_t a, int32_t b) { return Before(a, b); };
  }

  // Applies the filters to the candidates; false when a survivor may lie beyond their reach.
  bool Cut(float reach) {
    const bool all = reach == INFINITY;
    if (params_.top_k > 0 && ids_.size() > static_cast<size_t>(params_.top_k)) {
      std::nth_element(ids_.begin(), ids_.begin() + params_.top_k, ids_.end(), Order());
      ids_.resize(static_cast<size_t>(params_.top_k));
    }
    const bool complete = all || params_.top_k > 0;
    if (params_.top_p < 1 && !CutTopP(complete)) return false;
    if (params_.min_p > 0) {
      const double floor = double{highest_} + std::log(params_.min_p);
      if (!complete && params_.top_p >= 1 && -std::log(params_.min_p) > reach) return false;
      std::erase_if(ids_, [&](int32_t id) { return logits_[static_cast<size_t>(id)] < floor; });
    }
    return true;
  }

  double Mass(int32_t id) const {
    return std::exp(double{logits_[static_cast<size_t>(id)]} - highest_);
  }

  // Keeps the shortest prefix of mass top_p; false when the candidates, not `complete`, do not hold
  // it.
  bool CutTopP(bool complete) {
    double total = 0;
    if (params_.top_k > 0) {
      for (const int32_t id : ids_) total += Mass(id);
    } else {
      total = kernels_.sum_exp(logits_.data(), static_cast<int64_t>(logits_.size()), highest_);
    }
    const double wanted = double{params_.top_p} * total;
    double sum = 0;
    size_t ranked = 0;
    for (size_t i = 0; i < ids_.size(); ++i) {
      if (i == ranked) {
        // Ranks in growing pieces: a peaked row needs few.
        const size_t next = std::min(ids_.size(), std::max<size_t>(64, 4 * ranked));
        std::partial_sort(ids_.begin() + static_cast<int64_t>(ranked),
                          ids_.begin() + static_cast<int64_t>(next), ids_.end(), Order());
        ranked = next;
      }
      sum += Mass(ids_[i]);
      if (sum >= wanted) {
        ids_.resize(i + 1);
        return true;
      }
    }
    return complete;
  }

  std::span<float> logits_;
  const LogitParams& params_;
  const KernelTable& kernels_;
  std::vector<int32_t>& ids_;
  float highest_ = kBanned;
};

// Lists `ids` (ascending) in the row's survivors, those above -infinity.
void ListSurvivors(std::span<const float> logits, std::span<const int32_t> ids,
                   const SurvivorsView& survivors, int64_t row) {
  int32_t count = 0;
  for (const int32_t id : ids) {
    if (!(logits[static_cast<size_t>(id)] > kBanned)) continue;
    if (count == survivors.capacity) {
      count = -1;  // too many to list
      break;
    }
    survivors.ids[row * survivors.capacity + count++] = id;
  }
  survivors.counts[row] = count;
}

void ProcessRow(const ProcessLogitsArgs& args, int64_t row, const KernelTable& kernels,
                SamplingScratch& scratch) {
  const auto r = static_cast<size_t>(row);
  const LogitParams& params = args.params[r];
  const std::span logits(args.logits.Row<float>(row),
                         static_cast<size_t>(args.logits.RowElements()));
  const auto allowed = CsrRow(args.allowed, args.allowed_offsets, r);
  if (!allowed.empty()) KeepOnly(logits, allowed, scratch.values);
  Adjust(logits, CsrRow(args.adjusts, args.adjust_offsets, r), params);
  args.survivors.counts[row] = -1;
  if (!allowed.empty()) ListSurvivors(logits, allowed, args.survivors, row);
  if (!(params.temperature > 0)) return;
  if (params.temperature != 1) {
    kernels.divide(logits.data(), static_cast<int64_t>(logits.size()), params.temperature);
  }
  if (params.top_k <= 0 && params.top_p >= 1 && params.min_p <= 0) return;
  RowFilter(logits, params, kernels, scratch).Run();
  KeepOnly(logits, scratch.ids, scratch.values);
  ListSurvivors(logits, scratch.ids, args.survivors, row);
}

}  // namespace

float CollectLikely(std::span<const float> logits, float highest, int64_t num_wanted,
                    const KernelTable& kernels, std::vector<int32_t>& ids) {
  const auto vocab = static_cast<int64_t>(logits.size());
  ids.resize(logits.size());
  const auto collect = [&](float bound) {
    return kernels.collect(logits.data(), vocab, bound, false, ids.data(), vocab);
  };
  float reach = kReach;
  int64_t count = num_wanted < vocab ? collect(highest - reach) : 0;
  if (count < num_wanted) {
    reach = INFINITY;
    count = collect(kBanned);
  }
  ids.resize(static_cast<size_t>(count));
  return reach;
}

void ProcessLogits(const ProcessLogitsArgs& args, const SamplingContext& context) {
  CheckArgs(args);
  ForLogitRows(
      args.logits.dim(0), args.logits.RowElements(), context.pool, [&](int thread, int64_t row) {
        ProcessRow(args, row, context.kernels, context.scratch[static_cast<size_t>(thread)]);
      });
}

}  // namespace runahead::cpu
