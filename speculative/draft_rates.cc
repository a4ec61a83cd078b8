#include "speculative/draft_rates.h"

#include <algorithm>

namespace runahead {
namespace {

// Before anything was observed: of eight drafts behind a match of this bucket, how many were
// accepted. Rough figures for prose and code.
constexpr std::array<int, DraftRates::kNumLengths> kFirstAccepted = {2, 3, 4, 5, 6, 7, 7};
constexpr double kMostBetter = 1.5;  // a sequence's rates against the prior's

}  // namespace

DraftRates::DraftRates() {
  for (AcceptanceHistory& prior : priors_) prior = AcceptanceHistory(kMemory, kLean);
  for (size_t kind = 0; kind < priors_.size(); ++kind) {
    Refresh(priors_[kind], prior_rates_[kind]);
    for (size_t length = 0; length < kNumLengths; ++length) {
      AcceptanceHistory& history = by_length_[kind][length];
      history = AcceptanceHistory(kMemory, kLean);
      for (int i = 0; i < 8; ++i) history.Observe(1, i < kFirstAccepted[length] ? 1 : 0);
      Refresh(history, rates_by_length_[kind][length]);
    }
  }
}

size_t DraftRates::LengthBucket(int match_length) {
  constexpr std::array<int, kNumLengths - 1> kLast = {1, 2, 3, 5, 8, 16};
  size_t bucket = 0;
  while (bucket < kLast.size() && match_length > kLast[bucket]) ++bucket;
  return bucket;
}

void DraftRates::Refresh(const AcceptanceHistory& history, Rates& rates) {
  history.Rates({}, rates);
}

void DraftRates::Observe(DrafterKind kind, int match_length, int num_drafted, int num_accepted) {
  const auto k = static_cast<size_t>(kind);
  priors_[k].Observe(num_drafted, num_accepted);
  Refresh(priors_[k], prior_rates_[k]);
  if (!IsLookup(kind)) return;
  const size_t length = LengthBucket(match_length);
  by_length_[k][length].Observe(num_drafted, num_accepted);
  Refresh(by_length_[k][length], rates_by_length_[k][length]);
}

int DraftRates::Survival(DrafterKind kind, int match_length, const AcceptanceHistory* history,
                         float least, std::span<float> survival) const {
  const auto k = static_cast<size_t>(kind);
  const Rates& prior = prior_rates_[k];
  const bool is_lookup = IsLookup(kind);
  double better = 1;  // a sequence of its own kind, at every length of match
  if (is_lookup && history != nullptr) {
    better = std::min(history->RateAt(0, prior[0]) / prior[0], kMostBetter);
  }
  double product = 1;
  double rate = 0;
  for (size_t i = 0; i < survival.size(); ++i) {
    if (is_lookup) {
      rate = std::min(rates_by_length_[k][LengthBucket(match_length)][i] * better,
                      AcceptanceHistory::kMaxRate);
    } else if (history == nullptr) {
      rate = prior[i];
    } else {
      rate =
          history->RateAt(static_cast<int>(i), i == 0 ? prior[0] : prior[i] * rate / prior[i - 1]);
    }
    product *= rate;
    if (product < static_cast<double>(least)) return static_cast<int>(i);
    survival[i] = static_cast<float>(product);
  }
  return static_cast<int>(survival.size());
}

}  // namespace runahead
