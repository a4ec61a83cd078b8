// DraftRates: what is known over all requests of how often drafts are accepted. Engine thread only.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "core/speculation.h"
#include "speculative/acceptance.h"

namespace runahead {

// A history per drafter; for lookup drafters also one per length of the match, because what
// followed a long match is far likelier to follow again.
class DraftRates {
 public:
  DraftRates();

  void Observe(DrafterKind kind, int match_length, int num_drafted, int num_accepted);

  // P(drafts 0..i are all accepted), for a sequence with this history (may be null). Fills
  // `survival` until it falls below `least` and returns how many it filled.
  int Survival(DrafterKind kind, int match_length, const AcceptanceHistory* history, float least,
               std::span<float> survival) const;

  const AcceptanceHistory& prior(DrafterKind kind) const {
    return priors_[static_cast<size_t>(kind)];
  }

  static constexpr double kMemory = 256;  // trials
  static constexpr double kLean = 3;
  static constexpr size_t kNumLengths = 7;

 private:
  using Rates = std::array<double, kMaxDrafts>;

  static size_t LengthBucket(int match_length);
  void Refresh(const AcceptanceHistory& history, Rates& rates);

  std::array<AcceptanceHistory, kNumDrafterKinds> priors_;
  std::array<Rates, kNumDrafterKinds> prior_rates_;  // as priors_ say
  std::array<std::array<AcceptanceHistory, kNumLengths>, kNumDrafterKinds> by_length_;
  std::array<std::array<Rates, kNumLengths>, kNumDrafterKinds> rates_by_length_;
};

constexpr bool IsLookup(DrafterKind kind) {
  return kind == DrafterKind::kNgram || kind == DrafterKind::kPrediction;
}

}  // namespace runahead
