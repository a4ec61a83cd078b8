// What a sampler must do, computed slowly in f64, and how far counts are from it. Pure functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "gtest/gtest.h"

#include "core/sampling_params.h"

namespace runahead {

// Logits after the penalties, for a sequence of `prompt` and `output`.
inline std::vector<float> Penalized(std::vector<float> logits, std::span<const int32_t> prompt,
                                    std::span<const int32_t> output,
                                    const SamplingParams& sampling) {
  for (size_t id = 0; id < logits.size(); ++id) {
    const auto token = static_cast<int32_t>(id);
    const auto count = static_cast<float>(std::count(output.begin(), output.end(), token));
    float& l = logits[id];
    if (count > 0 || std::count(prompt.begin(), prompt.end(), token) > 0) {
      l = l > 0 ? l / sampling.repetition_penalty : l * sampling.repetition_penalty;
    }
    if (count > 0) l -= sampling.presence_penalty;
    l -= sampling.frequency_penalty * count;
  }
  return logits;
}

// softmax(logits / temperature) cut by top_k, top_p and min_p as core/sampling_params.h says, in
// f64.
inline std::vector<double> ExactDistribution(const std::vector<float>& logits,
                                             const SamplingParams& sampling) {
  std::vector<double> p;
  const double highest = *std::max_element(logits.begin(), logits.end());
  for (const float l : logits) p.push_back(std::exp((l - highest) / sampling.temperature));
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  size_t kept = sampling.top_k > 0 ? static_cast<size_t>(sampling.top_k) : p.size();
  double mass = 0;
  for (size_t i = 0; i < kept; ++i) mass += p[order[i]];
  double sum = 0;
  size_t nucleus = 0;
  while (nucleus < kept && sum < sampling.top_p * mass) sum += p[order[nucleus++]];
  kept = std::min(kept, nucleus);
  while (kept > 1 && p[order[kept - 1]] < sampling.min_p) --kept;  // the largest p is 1 here
  std::vector<double> cut(p.size());
  for (size_t i = 0; i < kept; ++i) cut[order[i]] = p[order[i]];
  const double total = std::accumulate(cut.begin(), cut.end(), 0.0);
  for (double& value : cut) value /= total;
  return cut;
}

// The chi-square statistic as a standard normal score (Wilson and Hilferty 1931); tokens expected
// fewer than five times share one bin.
inline double ChiSquareScore(const std::vector<int>& counts, const std::vector<double>& p) {
  double statistic = 0;
  int bins = 0;
  double rest_expected = 0;
  double rest_count = 0;
  double num_draws = 0;
  for (const int count : counts) num_draws += count;
  const auto add = [&](double count, double expected) {
    statistic += (count - expected) * (count - expected) / expected;
    ++bins;
  };
  for (size_t i = 0; i < p.size(); ++i) {
    const double expected = p[i] * num_draws;
    if (expected >= 5) {
      add(counts[i], expected);
    } else {
      rest_expected += expected;
      rest_count += counts[i];
    }
  }
  if (rest_expected > 0) add(rest_count, rest_expected);
  const double df = bins - 1;
  EXPECT_GE(df, 5) << "too few bins to tell anything";
  return (std::cbrt(statistic / df) - (1 - 2 / (9 * df))) / std::sqrt(2 / (9 * df));
}

}  // namespace runahead
