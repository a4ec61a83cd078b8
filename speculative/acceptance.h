// AcceptanceHistory: how often a drafter's proposals were accepted, by position. Engine thread
// only.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/speculation.h"

namespace runahead {

// Decaying counts of trials and successes at each position of a draft: position i is tried where
// positions 0..i-1 were accepted, so its rate is conditional on them. A history leans on a prior
// (the same drafter over all requests) until it has trials of its own.
class AcceptanceHistory {
 public:
  AcceptanceHistory() = default;
  // Trials at a position are forgotten after about `memory` newer ones; what it leans on counts as
  // much as `lean` trials.
  AcceptanceHistory(double memory, double lean) : keep_(1 - 1 / memory), lean_(lean) {}

  // num_accepted of num_drafted drafts of one step were accepted. Position num_accepted, if
  // drafted, was tried and failed; those behind it were not tried.
  void Observe(int num_drafted, int num_accepted);

  // P(draft at `position` is accepted | those before it were). `prior` is null for the prior
  // itself, which falls back to kInitialRate.
  double RateAt(int position, const AcceptanceHistory* prior) const;
  // RateAt(0..rates.size() - 1), leaning on the prior's own rates where there are any (as many).
  void Rates(std::span<const double> prior, std::span<double> rates) const;
  // Of one position, leaning on `base`.
  double RateAt(int position, double base) const;

  double num_trials(int position) const { return trials_[static_cast<size_t>(position)]; }

  static constexpr double kInitialRate = 0.7;
  // Of one sequence's history. Sequences differ less than a few trials of each seem to say.
  static constexpr double kMemory = 48;
  static constexpr double kLean = 12;
  static constexpr double kMaxRate = 0.995;  // a draft is never certain

 private:
  double keep_ = 1 - 1 / kMemory;
  double lean_ = kLean;
  std::array<double, kMaxDrafts> trials_ = {};     // decayed
  std::array<double, kMaxDrafts> successes_ = {};  // decayed
};

}  // namespace runahead
