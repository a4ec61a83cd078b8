#include "speculative/draft_rates.h"

#include <algorithm>

namespace runahead {
namespace {

// Before anything was observed: of eight drafts behind a match of this length, how many were
// accepted. Rough figures for prose and code.
using FirstAccepted = std::array<int, DraftRates::kNumLengths>;
constexpr FirstAccepted kFirstOfLookup = {1, 2, 3, 4, 5, 6, 7, 7};
// Who sends a prediction expects most of it to come true: it is believed from the first token on.
constexpr FirstAccepted kFirstOfPrediction = {7, 4, 5, 6, 7, 7, 7, 7};
constexpr double kKnownTrials = 64;    // after which all requests' rates say what to expect
constexpr double kFirstSpread = 0.25;  // before it was measured,
constexpr double kFirstWeight = 32;    // with the weight of so many expected rejections squared
constexpr double kLeastSpread = 1.0 / 64;
constexpr double kMostSpread = 1;
constexpr double kKeepLikeness = 1 - 1.0 / 4096;  // from a step of a sequence to the next
constexpr double kLeastRate = 0.01;

}  // namespace

DraftRates::DraftRates() {
  for (size_t kind = 0; kind < priors_.size(); ++kind) {
    priors_[kind].Rates(prior_rates_[kind]);
    const bool is_prediction = kind == static_cast<size_t>(DrafterKind::kPrediction);
    const FirstAccepted& first = is_prediction ? kFirstOfPrediction : kFirstOfLookup;
    for (size_t length = 0; length < kNumLengths; ++length) {
      AcceptanceHistory& history = by_length_[kind][length];
      for (int i = 0; i < 8; ++i) history.Observe(1, i < first[length] ? 1 : 0);
      history.Rates(rates_by_length_[kind][length]);
    }
  }
}

size_t DraftRates::LengthBucket(int match_length) {
  constexpr std::array<int, kNumLengths - 1> kLast = {0, 1, 2, 3, 5, 8, 16};
  size_t bucket = 0;
  while (bucket < kLast.size() && match_length > kLast[bucket]) ++bucket;
  return bucket;
}

const DraftRates::Rates& DraftRates::RatesOf(DrafterKind kind, int match_length) const {
  const auto k = static_cast<size_t>(kind);
  return IsLookup(kind) ? rates_by_length_[k][LengthBucket(match_length)] : prior_rates_[k];
}

double DraftRates::Spread(DrafterKind kind) const {
  const Likeness& likeness = likeness_[static_cast<size_t>(kind)];
  const double spread =
      (likeness.products + kFirstSpread * kFirstWeight) / (likeness.expected + kFirstWeight);
  return std::clamp(spread, kLeastSpread, kMostSpread);
}

void DraftRates::NoteRecord(DrafterKind kind, const Rates& rates, int num_drafted, int num_accepted,
                            AcceptanceRecord& record) {
  double expected = 0;
  for (int i = 0; i < std::min(num_accepted + 1, num_drafted); ++i) {
    expected += 1 - rates[static_cast<size_t>(i)];
  }
  const double rejected = num_accepted < num_drafted ? 1 : 0;
  if (prior(kind).num_trials(0) >= kKnownTrials) {
    Likeness& likeness = likeness_[static_cast<size_t>(kind)];
    likeness.products = likeness.products * kKeepLikeness +
                        (record.rejected() - record.expected()) * (rejected - expected);
    likeness.expected = likeness.expected * kKeepLikeness + record.expected() * expected;
  }
  record.Observe(rejected, expected);
}

// Of a sequence's rejections to others'.
double DraftRates::RatioOf(DrafterKind kind, const AcceptanceRecord* record) const {
  if (record == nullptr) return 1;
  const double lean = 1 / Spread(kind);
  return (record->rejected() + lean) / (record->expected() + lean);
}

void DraftRates::Observe(DrafterKind kind, int match_length, int num_drafted, int num_accepted,
                         AcceptanceRecord* record) {
  const auto k = static_cast<size_t>(kind);
  const double ratio = RatioOf(kind, record);
  if (record != nullptr) {
    NoteRecord(kind, RatesOf(kind, match_length), num_drafted, num_accepted, *record);
  }
  priors_[k].Observe(num_drafted, num_accepted, ratio);
  priors_[k].Rates(prior_rates_[k]);
  if (!IsLookup(kind)) return;
  const size_t length = LengthBucket(match_length);
  by_length_[k][length].Observe(num_drafted, num_accepted, ratio);
  by_length_[k][length].Rates(rates_by_length_[k][length]);
}

int DraftRates::Survival(DrafterKind kind, int match_length, const AcceptanceRecord* record,
                         float least, std::span<float> survival) const {
  const Rates& rates = RatesOf(kind, match_length);
  const double ratio = RatioOf(kind, record);
  double product = 1;
  for (size_t i = 0; i < survival.size(); ++i) {
    const double rate = 1 - (1 - rates[i]) * ratio;
    product *= std::clamp(rate, kLeastRate, AcceptanceHistory::kMaxRate);
    if (product < static_cast<double>(least)) return static_cast<int>(i);
    survival[i] = static_cast<float>(product);
  }
  return static_cast<int>(survival.size());
}

}  // namespace runahead
