// CostCurve: how long one model's passes take by rows and context, learned from measured ones.
// Engine thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace runahead {

// time = f(rows) + g * context. f is kept at the row counts seen (exact to 32 rows, then eight an
// octave); each such knot is a running mean over medians of five, so that spikes do not move it and
// a lasting change does within a few passes. In between, f is interpolated: straight where knots
// are near each other, towards the roofline (flat, then proportional to rows) where they are far
// apart.
//
// Seconds are those of one and the same machine: CostModel takes out what it is slower or faster by
// for the moment, or for good.
//
// Until a row count was measured while serving it is believed to be cheaper than the start-up
// measurement says, by as much as such measurements were off where both are known, and so is one
// not seen for long: a cost that is thought too low is found out by the first pass, one that is
// thought too high never would be.
class CostCurve {
 public:
  void Seed(int num_rows, int64_t num_context, double seconds);
  void Observe(int num_rows, int64_t num_context, double seconds);

  bool empty() const { return num_knots_ == 0; }
  double At(int num_rows, int64_t num_context) const;
  // Passes measured while serving at about so many rows (the same knot).
  int num_observed(int num_rows) const;
  // Passes observed since the last one at about so many rows.
  int64_t age(int num_rows) const;

  static constexpr int kNumLast = 5;           // passes a knot's median is of
  static constexpr double kFirstDoubt = 0.12;  // share that a start-up measurement may be off by

 private:
  static constexpr int kExactRows = 32;
  static constexpr size_t kNumBuckets = kExactRows + 1 + 8 * 7;  // to 4096 rows

  struct Bucket {
    double rows = 0;     // mean
    double context = 0;  // mean
    double seconds = 0;  // mean
    std::array<double, kNumLast> last = {};
    int64_t seen_at = 0;  // in observations of the whole curve; 0: never
    int num_observed = 0;
    bool is_seeded = false;
  };
  struct Knot {
    double rows = 0;
    double seconds = 0;        // of no context
    bool is_measured = false;  // while serving
    bool is_sure = false;      // often, and lately
  };

  static size_t BucketOf(int num_rows);
  void LearnContext(const Bucket& bucket, int64_t num_context, double seconds);
  void RebuildKnots();

  std::array<Bucket, kNumBuckets> buckets_ = {};
  std::array<Knot, kNumBuckets> knots_ = {};  // of the buckets that know something, rows ascending
  size_t num_knots_ = 0;
  int64_t num_observed_ = 0;
  double doubt_ = kFirstDoubt;
  int num_compared_ = 0;         // start-up measurements that were checked while serving
  double context_seconds_ = 0;   // g
  double context_products_ = 0;  // decayed sum of context x seconds, as deviations from the mean
  double context_squares_ = 0;   // decayed sum of context squared, likewise
};

}  // namespace runahead
