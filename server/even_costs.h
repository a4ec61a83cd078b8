// EvenCosts: what runs of a model take at the median of all that were measured, by number of rows,
// so that ways of serving can be compared without the minutes each happened to have. Value type.
#pragma once

#include <map>
#include <span>
#include <vector>

namespace runahead {

// One run of a model.
struct TimedRun {
  int num_rows = 0;
  double seconds = 0;
};

class EvenCosts {
 public:
  void Add(std::span<const TimedRun> runs);

  // Seconds the same runs take, each at the median of its number of rows. Their context counts only
  // as far as all runs have it alike.
  double Sum(std::span<const TimedRun> runs) const;

 private:
  static int BucketOf(int num_rows);

  std::map<int, std::vector<double>> seconds_per_row_;  // by bucket
};

}  // namespace runahead
