// AcceptanceHistory and AcceptanceRecord: how often a drafter's proposals were accepted, over all
// requests by position, and of one sequence against that. Engine thread only.
#pragma once

#include <array>
#include <span>

#include "core/speculation.h"

namespace runahead {

// Decaying counts of trials and rejections at each position of a draft: position i is tried where
// positions 0..i-1 were accepted, so its rate is conditional on them. A position nobody reached yet
// is thought to be like the one before it.
class AcceptanceHistory {
 public:
  AcceptanceHistory() = default;
  // Trials at a position are forgotten after about `memory` newer ones; what it leans on counts as
  // much as `lean` trials.
  AcceptanceHistory(double memory, double lean) : keep_(1 - 1 / memory), lean_(lean) {}

  // num_accepted of num_drafted drafts of one step were accepted. Position num_accepted, if
  // drafted, was tried and failed; those behind it were not tried. `ratio`: of the sequence, whose
  // drafts are rejected so many times as often as others': far positions are reached by the best
  // sequences alone, and must not look better for it.
  void Observe(int num_drafted, int num_accepted, double ratio = 1);

  // P(draft at positions 0, 1, .. is accepted | those before it were).
  void Rates(std::span<double> rates) const;

  double num_trials(int position) const { return trials_[static_cast<size_t>(position)]; }

  static constexpr double kMemory = 256;  // trials
  static constexpr double kLean = 3;
  static constexpr double kInitialRate = 0.7;
  static constexpr double kMaxRate = 0.995;  // a draft is never certain

 private:
  double keep_ = 1 - 1 / kMemory;
  double lean_ = kLean;
  std::array<double, kMaxDrafts> trials_ = {};      // decayed
  std::array<double, kMaxDrafts> exposed_ = {};     // of them, each as much as its ratio
  std::array<double, kMaxDrafts> rejections_ = {};  // decayed
};

// Rejected drafts of one sequence, and how many would have been with the rates of all requests at
// the same positions. Counted together, as a sequence whose first drafts are good mostly has good
// later ones too, and alone no position of a short answer says anything.
class AcceptanceRecord {
 public:
  void Observe(double rejected, double expected);
  double rejected() const { return rejected_; }
  double expected() const { return expected_; }

 private:
  double rejected_ = 0;  // decayed
  double expected_ = 0;  // likewise
};

}  // namespace runahead
