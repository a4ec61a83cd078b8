#include "server/quantiles.h"

#include <algorithm>
#include <cmath>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

double Percentile(const std::vector<double>& sorted, double fraction) {
  const double rank = fraction * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (rank - std::floor(rank)) * (sorted[above] - sorted[below]);
}

}  // namespace

Quantiles QuantilesOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  double sum = 0;
  for (const double value : values) sum += value;
  return {.mean = sum / static_cast<double>(values.size()),
          .p50 = Percentile(values, 0.50),
          .p90 = Percentile(values, 0.90),
          .p95 = Percentile(values, 0.95),
          .p99 = Percentile(values, 0.99)};
}

nlohmann::ordered_json ToJson(const Quantiles& q) {
  return {{"mean", q.mean}, {"p50", q.p50}, {"p90", q.p90}, {"p95", q.p95}, {"p99", q.p99}};
}

}  // namespace runahead
