#include "speculative/cost_curve.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

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
constexpr double kFreshAge = 256;        // passes of others after which a knot starts to be doubted
constexpr double kForgetting = 1.0 / 8192;  // doubt per pass that a knot was not seen
constexpr int kSurePasses = 3;              // after which a bucket is taken at its word,
constexpr double kSureAge = 160;            // for so many passes of others
constexpr double kTolerance = 1.05;
constexpr double kLeastShare = 0.05;  // of a pass is not context, whatever was learned
constexpr double kMaxDoubt = 0.5;
constexpr double kMaxForgotten = 0.12;  // doubt of a knot not seen for however long
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

void CostCurve::Observe(int num_rows, int64_t num_context, double seconds) {
  Bucket& bucket = buckets_[BucketOf(num_rows)];
  const auto context = static_cast<double>(num_context);
  ++num_observed_;
  bucket.seen_at = num_observed_;
  bucket.last[static_cast<size_t>(bucket.num_observed++ % kNumLast)] = seconds;
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
  RebuildKnots();
}

// Least squares over deviations from the bucket's own means, so that rows play no part.
void CostCurve::LearnContext(const Bucket& bucket, int64_t num_context, double seconds) {
  const double more = static_cast<double>(num_context) - bucket.context;
  const double limit = kMaxDeviation * bucket.seconds;
  const double longer = std::clamp(seconds - bucket.seconds, -limit, limit);
  // Noise is a share of a pass: what a long prefill takes too long is not its context.
  const double share = std::min(1.0, knots_[0].seconds / bucket.seconds);
  const double weight = share * share;
  context_products_ += weight * more * longer - context_products_ / kMemory;
  context_squares_ += weight * more * more - context_squares_ / kMemory;
  context_seconds_ = std::max(0.0, context_products_ / (context_squares_ + kMinSpread * kMemory));
}

// What was measured often and lately counts as it is. The rest is kept between those, and rising.
void CostCurve::RebuildKnots() {
  num_knots_ = 0;
  for (const Bucket& bucket : buckets_) {
    const bool is_measured = bucket.num_observed > 0;
    if (!is_measured && !bucket.is_seeded) continue;
    const auto age = static_cast<double>(num_observed_ - bucket.seen_at);
    const double doubt =
        is_measured ? std::clamp(kForgetting * (age - kFreshAge), 0.0, kMaxForgotten) : doubt_;
    const double seconds =
        std::max(bucket.seconds * kLeastShare, bucket.seconds - context_seconds_ * bucket.context);
    knots_[num_knots_++] = {.rows = bucket.rows,
                            .seconds = seconds * (1 - doubt),
                            .is_measured = is_measured,
                            .is_sure = bucket.num_observed >= kSurePasses && age <= kSureAge};
  }
  double most = std::numeric_limits<double>::infinity();
  for (size_t i = num_knots_; i-- > 0;) {
    Knot& knot = knots_[i];
    // A little more is noise; much more than more rows take is a mistake of what is seldom seen.
    knot.seconds = std::min(knot.seconds, knot.is_sure ? most * kTolerance : most);
    if (knot.is_sure) most = std::min(most, knot.seconds);
  }
  double least = 0;
  for (Knot& knot : std::span(knots_).first(num_knots_)) {
    if (!knot.is_sure) knot.seconds = std::max(knot.seconds, least);
    least = std::max(least, knot.seconds);
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
