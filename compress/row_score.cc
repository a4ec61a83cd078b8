#include "compress/row_score.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace runahead {
namespace {

struct Peak {
  double value = -std::numeric_limits<double>::infinity();
  size_t at = 0;
  bool is_broken = false;
};

// The first of the largest logits.
Peak FindPeak(std::span<const float> logits) {
  Peak peak;
  for (size_t i = 0; i < logits.size(); ++i) {
    peak.is_broken = peak.is_broken || std::isnan(logits[i]);
    if (logits[i] > peak.value) peak = {logits[i], i, peak.is_broken};
  }
  peak.is_broken = peak.is_broken || !std::isfinite(peak.value);
  return peak;
}

}  // namespace

double RowScore::DeltaP() const { return std::exp(-nll) - std::exp(-reference_nll); }

RowScore ScoreRow(std::span<const float> logits, int32_t token) {
  RA_CHECK(token >= 0 && static_cast<size_t>(token) < logits.size());
  const Peak peak = FindPeak(logits);
  if (peak.is_broken) return {.is_broken = true};
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - peak.value);
  return {.nll = peak.value + std::log(sum) - logits[static_cast<size_t>(token)]};
}

RowScore ScoreRow(std::span<const float> logits, std::span<const float> reference, int32_t token) {
  RA_CHECK_EQ(logits.size(), reference.size());
  RA_CHECK(token >= 0 && static_cast<size_t>(token) < logits.size());
  const Peak peak = FindPeak(logits);
  const Peak reference_peak = FindPeak(reference);
  if (peak.is_broken || reference_peak.is_broken) return {.is_broken = true};
  // With r and x the logits, KL = sum p_r (r - x) - (log Z_r - log Z_x): one pass, and no
  // difference of nearly equal sums of logarithms.
  double sum = 0;
  double reference_sum = 0;
  double weighted = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double x = logits[i];
    const double r = reference[i];
    sum += std::exp(x - peak.value);
    const double share = std::exp(r - reference_peak.value);
    reference_sum += share;
    if (share > 0) weighted += share * (r - x);
  }
  const double log_z = peak.value + std::log(sum);
  const double reference_log_z = reference_peak.value + std::log(reference_sum);
  const auto at = static_cast<size_t>(token);
  return {.nll = log_z - logits[at],
          .reference_nll = reference_log_z - reference[at],
          .kl = std::max(0.0, weighted / reference_sum - (reference_log_z - log_z)),
          .has_same_top = peak.at == reference_peak.at};
}

}  // namespace runahead
