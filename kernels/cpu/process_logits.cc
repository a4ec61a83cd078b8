#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/sampling.h"

namespace runahead::cpu {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

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
// first among equals), so the row keeps all tokens up to one last token. A histogram over the
// distance from the best finds the narrow bucket that holds it, and only that bucket is ever
// sorted.
class RowFilter {
 public:
  RowFilter(std::span<float> logits, const LogitParams& params, const KernelTable& kernels,
            SamplingScratch& scratch)
      : logits_(logits), params_(params), kernels_(kernels), scratch_(scratch) {}

  // Leaves the survivors in the scratch ids, ascending.
  void Run() {
    const auto vocab = static_cast<int64_t>(logits_.size());
    scratch_.ids.clear();
    highest_ = kernels_.max(logits_.data(), vocab);
    if (highest_ == kBanned) return;
    if (params_.top_k <= 0 && params_.top_p >= 1) {
      Collect(MinPBound(), true);
      return;
    }
    kernels_.histogram(logits_.data(), vocab, highest_, scratch_.histogram);
    const int32_t last = params_.top_k > 0 ? LastOfTopK() : LastOfTopP();
    const float least = MinPBound();
    std::erase_if(scratch_.ids, [&](int32_t id) { return Before(last, id) || Logit(id) < least; });
  }

 private:
  float Logit(int32_t id) const { return logits_[static_cast<size_t>(id)]; }
  double Mass(int32_t id) const { return std::exp(double{Logit(id)} - highest_); }

  bool Before(int32_t a, int32_t b) const {
    return Logit(a) > Logit(b) || (Logit(a) == Logit(b) && a < b);
  }
  auto Order() const {
    return [this](int32_t a, int32_t b) { return Before(a, b); };
  }

  // The least logit that min_p keeps.
  float MinPBound() const {
    if (params_.min_p <= 0) return kBanned;
    const double exact = double{highest_} + std::log(double{params_.min_p});
    const auto bound = static_cast<float>(exact);
    return bound < exact ? std::nextafter(bound, INFINITY) : bound;
  }

  void Collect(float bound, bool or_equal) {
    const auto vocab = static_cast<int64_t>(logits_.size());
    scratch_.ids.resize(logits_.size());
    const int64_t count = kernels_.collect(logits_.data(), vocab, bound,
                                           or_equal && bound > kBanned, scratch_.ids.data(), vocab);
    scratch_.ids.resize(static_cast<size_t>(count));
  }

  // The bucket the histogram put a logit into: the same two roundings.
  int BucketOf(float logit) const {
    const float below = (highest_ - logit) * kBucketsPerUnit;
    return below < static_cast<float>(kBuckets) ? static_cast<int>(below) : kBuckets;
  }

  // Collects all tokens down to a bucket, and perhaps a few more.
  void CollectDownTo(int bucket) {
    if (bucket >= kBuckets) {
      Collect(kBanned, false);
      return;
    }
    const float reach = static_cast<float>(bucket + 2) / kBucketsPerUnit;
    Collect(highest_ - reach - std::abs(highest_) * 1e-6f, false);
  }

  int32_t LastOfTopK() {
    int64_t count = 0;
    int bucket = 0;
    while (bucket < kBuckets && (count += scratch_.histogram.counts[bucket]) < params_.top_k)
      ++bucket;
    CollectDownTo(bucket);
    std::vector<int32_t>& ranked = scratch_.ranked;
    ranked = scratch_.ids;
    if (ranked.size() > static_cast<size_t>(params_.top_k)) {
      std::nth_element(ranked.begin(), ranked.begin() + params_.top_k - 1, ranked.end(), Order());
      ranked.resize(static_cast<size_t>(params_.top_k));
    }
    if (params_.top_p >= 1) return *std::max_element(ranked.begin(), ranked.end(), Order());
    double total = 0;
    for (const int32_t id : ranked) total += Mass(id);
    return LastOfMass(params_.top_p * total);
  }

  int32_t LastOfTopP() {
    const LogitHistogram& histogram = scratch_.histogram;
    double total = 0;
    for (const double mass : histogram.mass) total += mass;
    const double wanted = params_.top_p * total;
    double above = 0;
    int bucket = 0;
    while (bucket < kBuckets && above + histogram.mass[bucket] < wanted) {
      above += histogram.mass[bucket++];
    }
    CollectDownTo(bucket);
    scratch_.ranked.clear();
    for (const int32_t id : scratch_.ids) {
      if (BucketOf(Logit(id)) == bucket) scratch_.ranked.push_back(id);
    }
    // Rounding may end the search in an empty bucket; then every token collected is kept.
    if (scratch_.ranked.empty()) scratch_.ranked = scratch_.ids;
    return LastOfMass(wanted - above);
  }

  // The token at which the ranked ids' mass reaches `wanted`; the last if it never does.
  int32_t LastOfMass(double wanted) {
    std::vector<int32_t>& ids = scratch_.ranked;
    double sum = 0;
    size_t sorted = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i == sorted) {
        // Ranks in growing pieces: a peaked row needs few.
        sorted = std::min(ids.size(), std::max<size_t>(64, 4 * i));
        std::partial_sort(ids.begin() + static_cast<int64_t>(i),
                          ids.begin() + static_cast<int64_t>(sorted), ids.end(), Order());
      }
      sum += Mass(ids[i]);
      if (sum >= wanted) return ids[i];
    }
    return ids.back();
  }

  std::span<float> logits_;
  const LogitParams& params_;
  const KernelTable& kernels_;
  SamplingScratch& scratch_;
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

void ProcessLogits(const ProcessLogitsArgs& args, const SamplingContext& context) {
  CheckArgs(args);
  ForLogitRows(
      args.logits.dim(0), args.logits.RowElements(), context.pool, [&](int thread, int64_t row) {
        ProcessRow(args, row, context.kernels, context.scratch[static_cast<size_t>(thread)]);
      });
}

}  // namespace runahead::cpu
