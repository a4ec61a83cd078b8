// Quantiles: what a set of measured values amounts to. Pure functions.
#pragma once

#include <vector>

#include "nlohmann/json_fwd.hpp"

namespace runahead {

// In the unit of the values. Percentiles by linear interpolation between order statistics.
struct Quantiles {
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
};

// All zero of no values.
Quantiles QuantilesOf(std::vector<double> values);

nlohmann::ordered_json ToJson(const Quantiles& q);

}  // namespace runahead
