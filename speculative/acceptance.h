// AcceptanceHistory: how often a drafter's proposals were accepted, by position. Engine thread
// only.
#pragma once

#include <array>
#include <cstdint>

#include "core/speculation.h"

namespace runahead {

// Decaying counts of trials and successes at each position of a draft: position i is tried where
// positions 0..i-1 were accepted, so its rate is conditional on them. A history leans on a prior
// (the same drafter over all requests) until it has trials of its own.
class AcceptanceHistory {
 public:
  // num_accepted of num_drafted drafts of one step were accepted. Position num_accepted, if
  // drafted, was tried and failed; those behind it were not tried.
  void Observe(int num_drafted, int num_accepted);

  // P(draft at `position` is accepted | those before it were). `prior` is null for the prior
  // itself, which falls back to kInitialRate.
  double RateAt(int position, const AcceptanceHistory* prior) const;

  double num_trials(int position) const { return trials_[static_cast<size_t>(position)]; }

  static constexpr double kInitialRate = 0.7;

 private:
  std::array<double, kMaxDrafts> trials_ = {};     // decayed
  std::array<double, kMaxDrafts> successes_ = {};  // decayed
};

}  // namespace runahead
