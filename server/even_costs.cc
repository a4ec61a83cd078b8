#include "server/even_costs.h"

#include <cmath>
#include <utility>

#include "server/quantiles.h"

namespace runahead {

// Decodes and verifications have few row counts, and many runs of each. Prompts have any, so those
// within an eighth of an octave share a time per row.
int EvenCosts::BucketOf(int num_rows) {
  constexpr int kExact = 64;
  if (num_rows <= kExact) return num_rows;
  return kExact + 1 + static_cast<int>(8 * std::log2(num_rows / static_cast<double>(kExact)));
}

void EvenCosts::Add(std::span<const TimedRun> runs) {
  for (const TimedRun& run : runs) {
    if (run.num_rows == 0) continue;
    seconds_per_row_[BucketOf(run.num_rows)].push_back(run.seconds / run.num_rows);
  }
}

double EvenCosts::Sum(std::span<const TimedRun> runs) const {
  std::map<int, double> medians;
  double sum = 0;
  for (const TimedRun& run : runs) {
    if (run.num_rows == 0) continue;
    const int bucket = BucketOf(run.num_rows);
    const auto found = seconds_per_row_.find(bucket);
    if (found == seconds_per_row_.end()) {
      sum += run.seconds;
      continue;
    }
    const auto [median, is_new] = medians.try_emplace(bucket);
    if (is_new) median->second = QuantilesOf(found->second).p50;
    sum += median->second * run.num_rows;
  }
  return sum;
}

}  // namespace runahead
