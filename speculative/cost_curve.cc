#include "speculative/cost_curve.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace runahead {
namespace {

// A knot moves towards a new median by this share of the way; the further it is off the faster, as
// noise is small and a changed machine is not.
constexpr double kMinStep = 0.15;
constexpr double kStepPerChange = 3;
constexpr double kMaxStep = 0.7;
constexpr double kNearRatio = 1.6;       // knots whose rows differ less are joined straight
constexpr double kStraightShare = 0.25;  // of the straight line between knots far apart
constexpr double kMemory = 512;          // passes the context's share is learned over
constexpr double kMinSpread = 4096;      // tokens squared: less variation of context says nothing
constexpr double kMaxDeviation = 0.3;    // of a mean: more is a spike, not context
constexpr int kWellKnown = 6;            // passes
constexpr double kDrift = 0.05;          // more than noise moves a median's running mean
constexpr int kDriftPasses = 12;
constexpr double kFreshAge = 64;  // passes of others after which a knot starts to be doubted
constexpr double kForgetting = 1.0 / 1024;  // doubt per pass that a knot was not seen
constexpr double kMaxDoubt = 0.5;
// Below the first knot, and beyond the last where the one before it was not measured: the part of
// its time that is proportional to rows.
constexpr double kRowShare = 0.3;

// The lower median, as interruptions only ever lengthen a pass.
double Median(std::array<double, CostCurve::kNumLast> of, int count) {
  const auto middle = of.begin() + (count - 1) / 2;
  std::nth_element(of.begin(), middle, of.begin() + count);
  return *middle;
}

}  // namespace

size_t CostCurve::BucketOf(int num_rows) {
  const int rows = std::clamp(num_rows, 1, 4095);
  if (rows <= kExactRows) return static_cast<size_t>(rows);
  const int octave = std::bit_width(static_cast<unsigned>(rows)) - 1;  // 5..11
  const int eighth = (rows >> (octave - 3)) & 7;
  return static_cast<size_t>(kExactRows + 1 + (octave - 5) * 8 + eighth);
}

int CostCurve::num_observed(int num_rows) const {
  return buckets_[BucketOf(num_rows)].num_observed;
}

int64_t CostCurve::age(int num_rows) const {
  return num_observed_ - buckets_[BucketOf(num_rows)].seen_at;
}

void CostCurve::Seed(int num_rows, int64_t num_context, double seconds) {
  Bucket& bucket = buckets_[BucketOf(num_rows)];
  if (bucket.num_observed > 0) return;
  bucket.rows = num_rows;
  bucket.context = static_cast<double>(num_context);
  bucket.seconds = seconds;
  bucket.is_seeded = true;
  RebuildKnots();
}

double CostCurve::Observe(int num_rows, int64_t num_context, double seconds) {
  Bucket& bucket = buckets_[BucketOf(num_rows)];
  const auto context = static_cast<double>(num_context);
  const double before = bucket.seconds;
  bucket.seen_at = ++num_observed_;
  bucket.last[static_cast<size_t>(bucket.num_observed % kNumLast)] = seconds;
  ++bucket.num_observed;
  if (bucket.num_observed == 1) {
    if (bucket.is_seeded) {
      const double off = std::min(std::abs(1 - seconds / bucket.seconds), kMaxDoubt);
      doubt_ += (off - doubt_) / (++num_compared_ + 1);
    }
    bucket.rows = num_rows;
    bucket.context = context;
    bucket.seconds = seconds;
  } else {
    LearnContext(bucket, num_context, seconds);
    const double typical = Median(bucket.last, std::min(bucket.num_observed, kNumLast));
    const double change = std::abs(typical - bucket.seconds) / bucket.seconds;
    const double step = std::clamp(kStepPerChange * change,
                                   std::max(kMinStep, 1.0 / bucket.num_observed), kMaxStep);
    bucket.rows += step * (num_rows - bucket.rows);
    bucket.context += step * (context - bucket.context);
    bucket.seconds += step * (typical - bucket.seconds);
  }
  const double factor = bucket.seconds / before;
  // What followed one excursion must follow its way back too, however small the steps.
  if (std::abs(factor - 1) > kDrift) bucket.num_drifting = kDriftPasses;
  const bool is_drift = bucket.num_observed > kWellKnown && bucket.num_drifting-- > 0;
  if (is_drift) ScaleOthers(factor, &bucket);
  RebuildKnots();
  return is_drift ? factor : 1;
}

void CostCurve::Scale(double factor) {
  ScaleOthers(factor, nullptr);
  RebuildKnots();
}

void CostCurve::ScaleOthers(double factor, const Bucket* seen) {
  for (Bucket& bucket : buckets_) {
    if (&bucket == seen) continue;
    bucket.seconds *= factor;
    for (double& seconds : bucket.last) seconds *= factor;
  }
}

// Least squares over deviations from the bucket's own means, so that rows play no part.
void CostCurve::LearnContext(const Bucket& bucket, int64_t num_context, double seconds) {
  const double more = static_cast<double>(num_context) - bucket.context;
  const double limit = kMaxDeviation * bucket.seconds;
  const double longer = std::clamp(seconds - bucket.seconds, -limit, limit);
  context_products_ += more * longer - context_products_ / kMemory;
  context_squares_ += more * more - context_squares_ / kMemory;
  context_seconds_ = std::max(0.0, context_products_ / (context_squares_ + kMinSpread * kMemory));
}

// Pools neighbours that contradict "more rows take no less time", weighted by how much is known
// and how lately.
void CostCurve::RebuildKnots() {
  std::array<double, kNumBuckets> weights;
  num_knots_ = 0;
  size_t num_pools = 0;
  std::array<Knot, kNumBuckets> pools;  // rows: number of knots pooled
  for (const Bucket& bucket : buckets_) {
    if (bucket.num_observed == 0 && !bucket.is_seeded) continue;
    const bool is_measured = bucket.num_observed > 0;
    const auto age = static_cast<double>(num_observed_ - bucket.seen_at);
    const double seconds =
        std::max(bucket.seconds * .05, bucket.seconds - context_seconds_ * bucket.context) *
        (1 - (is_measured ? std::clamp(kForgetting * (age - kFreshAge), 0.0, kMaxDoubt) : doubt_));
    double weight = is_measured ? std::min(bucket.num_observed, 8) / (1 + age / 64) : 0.01;
    knots_[num_knots_].rows = bucket.rows;
    knots_[num_knots_++].is_measured = is_measured;
    Knot pool = {.rows = 1, .seconds = seconds};
    while (num_pools > 0 && pools[num_pools - 1].seconds > pool.seconds) {
      --num_pools;
      const double sum = weights[num_pools] + weight;
      pool.seconds = (pool.seconds * weight + pools[num_pools].seconds * weights[num_pools]) / sum;
      pool.rows += pools[num_pools].rows;
      weight = sum;
    }
    weights[num_pools] = weight;
    pools[num_pools++] = pool;
  }
  size_t knot = 0;
  for (size_t pool = 0; pool < num_pools; ++pool) {
    for (int i = 0; i < static_cast<int>(pools[pool].rows); ++i) {
      knots_[knot++].seconds = pools[pool].seconds;
    }
  }
}

double CostCurve::At(int num_rows, int64_t num_context) const {
  if (num_knots_ == 0) return 0;
  const double rows = num_rows;
  const double of_context = context_seconds_ * static_cast<double>(num_context);
  const auto end = knots_.begin() + static_cast<std::ptrdiff_t>(num_knots_);
  const auto above = std::lower_bound(
      knots_.begin(), end, rows, [](const Knot& knot, double value) { return knot.rows < value; });
  if (above == end) {
    const Knot& last = *(end - 1);
    if (num_knots_ > 1 && (end - 2)->is_measured) {
      const Knot& before = *(end - 2);
      const double slope = (last.seconds - before.seconds) / (last.rows - before.rows);
      return last.seconds + slope * (rows - last.rows) + of_context;
    }
    return last.seconds * (1 - kRowShare + kRowShare * rows / last.rows) + of_context;
  }
  if (above == knots_.begin()) {
    return above->seconds * (1 - kRowShare + kRowShare * rows / above->rows) + of_context;
  }
  const Knot& below = *(above - 1);
  const double straight = below.seconds + (above->seconds - below.seconds) * (rows - below.rows) /
                                              (above->rows - below.rows);
  if (above->rows <= below.rows * kNearRatio) return straight + of_context;
  const double roofline = std::max(below.seconds, above->seconds * rows / above->rows);
  return kStraightShare * straight + (1 - kStraightShare) * roofline + of_context;
}

}  // namespace runahead
