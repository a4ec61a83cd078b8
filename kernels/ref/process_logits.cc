#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/ref/ops.h"

namespace runahead::ref {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

void KeepAllowed(std::span<float> logits, std::span<const int32_t> allowed) {
  if (allowed.empty()) return;
  for (int32_t id = 0; id < static_cast<int32_t>(logits.size()); ++id) {
    if (!std::binary_search(allowed.begin(), allowed.end(), id)) {
      logits[static_cast<size_t>(id)] = kBanned;
    }
  }
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

// Token ids that can still be drawn, most likely first, lower id first among equals.
std::vector<int32_t> Ranked(std::span<const float> logits) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > kBanned) ids.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  return ids;
}

// How many of the ranked ids make up a mass of top_p; at least one.
size_t CountTopP(std::span<const float> logits, const std::vector<int32_t>& ids, float top_p) {
  std::vector<double> mass;
  for (const int32_t id : ids) {
    mass.push_back(
        std::exp(double{logits[static_cast<size_t>(id)]} - logits[static_cast<size_t>(ids[0])]));
  }
  const double wanted = double{top_p} * std::accumulate(mass.begin(), mass.end(), 0.0);
  double sum = 0;
  for (size_t i = 0; i < mass.size(); ++i) {
    sum += mass[i];
    if (sum >= wanted) return i + 1;
  }
  return mass.size();
}

// Applies top_k, top_p and min_p; true when one of them was asked for.
bool Filter(std::span<float> logits, const LogitParams& params) {
  const bool any = params.top_k > 0 || params.top_p < 1 || params.min_p > 0;
  if (!any) return false;
  std::vector<int32_t> kept = Ranked(logits);
  if (kept.empty()) return true;
  if (params.top_k > 0) kept.resize(std::min(kept.size(), static_cast<size_t>(params.top_k)));
  if (params.top_p < 1) kept.resize(CountTopP(logits, kept, params.top_p));
  if (params.min_p > 0) {
    const double floor = double{logits[static_cast<size_t>(kept[0])]} + std::log(params.min_p);
    std::erase_if(kept, [&](int32_t id) { return logits[static_cast<size_t>(id)] < floor; });
  }
  std::vector<bool> stays(logits.size());
  for (const int32_t id : kept) stays[static_cast<size_t>(id)] = true;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!stays[i]) logits[i] = kBanned;
  }
  return true;
}

void ListSurvivors(std::span<const float> logits, const SurvivorsView& survivors, int64_t row) {
  int32_t count = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > kBanned)) continue;
    if (count == survivors.capacity) {
      count = -1;  // too many to list
      break;
    }
    survivors.ids[row * survivors.capacity + count++] = static_cast<int32_t>(i);
  }
  survivors.counts[row] = count;
}

template <typename T>
std::span<const T> CsrRow(std::span<const T> values, std::span<const int32_t> offsets, size_t row) {
  if (offsets.empty()) return {};
  const auto begin = static_cast<size_t>(offsets[row]);
  return values.subspan(begin, static_cast<size_t>(offsets[row + 1]) - begin);
}

}  // namespace

void ProcessLogits(const ProcessLogitsArgs& args) {
  CheckArgs(args);
  for (size_t r = 0; r < args.params.size(); ++r) {
    const auto row = static_cast<int64_t>(r);
    const LogitParams& params = args.params[r];
    const std::span logits(args.logits.Row<float>(row),
                           static_cast<size_t>(args.logits.RowElements()));
    const auto allowed = CsrRow(args.allowed, args.allowed_offsets, r);
    KeepAllowed(logits, allowed);
    Adjust(logits, CsrRow(args.adjusts, args.adjust_offsets, r), params);
    bool cut = !allowed.empty();
    if (params.temperature > 0) {
      for (float& logit : logits) logit /= params.temperature;
      cut = Filter(logits, params) || cut;
    }
    args.survivors.counts[row] = -1;
    if (cut) ListSurvivors(logits, args.survivors, row);
  }
}

}  // namespace runahead::ref
