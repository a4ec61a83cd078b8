#include "speculative/acceptance.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {
void AcceptanceHistory::Observe(int num_drafted, int num_accepted) {
  RA_CHECK_LE(num_drafted, kMaxDrafts);
  RA_CHECK_LE(num_accepted, num_drafted);
  const int num_tried = std::min(num_accepted + 1, num_drafted);
  for (int i = 0; i < num_tried; ++i) {
    const auto at = static_cast<size_t>(i);
    trials_[at] = trials_[at] * keep_ + 1;
    successes_[at] = successes_[at] * keep_ + (i < num_accepted ? 1 : 0);
  }
}

double AcceptanceHistory::RateAt(int position, const AcceptanceHistory* prior) const {
  RA_CHECK_LT(position, kMaxDrafts);
  const auto size = static_cast<size_t>(position) + 1;
  std::array<double, kMaxDrafts> of_prior = {};
  std::array<double, kMaxDrafts> rates = {};
  if (prior != nullptr) prior->Rates({}, std::span(of_prior).first(size));
  Rates(
      prior == nullptr ? std::span<const double>{} : std::span<const double>(of_prior).first(size),
      std::span(rates).first(size));
  return rates[size - 1];
}

double AcceptanceHistory::RateAt(int position, double base) const {
  const auto i = static_cast<size_t>(position);
  return std::min((successes_[i] + lean_ * base) / (trials_[i] + lean_), kMaxRate);
}

// What a position leans on: the prior's rate there, scaled by how this history compares with the
// prior one position earlier, so that a sequence that does worse than most is expected to do so at
// positions it has not reached; without a prior, its own rate one position earlier.
void AcceptanceHistory::Rates(std::span<const double> prior, std::span<double> rates) const {
  double rate = kInitialRate;
  for (size_t i = 0; i < rates.size(); ++i) {
    double base = rate;
    if (!prior.empty()) base = i == 0 ? prior[0] : prior[i] * (rate / prior[i - 1]);
    rate = RateAt(static_cast<int>(i), base);
    rates[i] = rate;
  }
}

}  // namespace runahead
