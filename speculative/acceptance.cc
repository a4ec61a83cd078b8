#include "speculative/acceptance.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {
namespace {

constexpr double kKeep = 1 - 1.0 / 64;  // of a record, from a step with drafts to the next

}  // namespace

void AcceptanceHistory::Observe(int num_drafted, int num_accepted, double ratio) {
  RA_CHECK_LE(num_drafted, kMaxDrafts);
  RA_CHECK_LE(num_accepted, num_drafted);
  const int num_tried = std::min(num_accepted + 1, num_drafted);
  for (int i = 0; i < num_tried; ++i) {
    const auto at = static_cast<size_t>(i);
    trials_[at] = trials_[at] * keep_ + 1;
    exposed_[at] = exposed_[at] * keep_ + ratio;
    rejections_[at] = rejections_[at] * keep_ + (i < num_accepted ? 0 : 1);
  }
}

void AcceptanceHistory::Rates(std::span<double> rates) const {
  double rejection = 1 - kInitialRate;
  for (size_t i = 0; i < rates.size(); ++i) {
    rejection = (rejections_[i] + lean_ * rejection) / (exposed_[i] + lean_);
    rates[i] = std::clamp(1 - rejection, 0.0, kMaxRate);
  }
}

void AcceptanceRecord::Observe(double rejected, double expected) {
  rejected_ = rejected_ * kKeep + rejected;
  expected_ = expected_ * kKeep + expected;
}

}  // namespace runahead
