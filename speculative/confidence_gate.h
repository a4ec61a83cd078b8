// ConfidenceGate: behind how unsure a token a draft model should stop. Engine thread only.
#pragma once

namespace runahead {

// A model's confidence says little by itself: a draft that draws with the target's own noise, or
// that the text leaves many choices, may be unsure and right all the same. So the gate watches what
// becomes of the last drafts of those that were stopped. Where they are accepted so often that
// going on would have paid, it opens; where not, it closes, slowly and never beyond the first
// guess, which takes confidence for the rate of acceptance.
class ConfidenceGate {
 public:
  // `break_even`: what one more draft costs as a share of what a token is worth.
  float Threshold(double break_even);

  // A draft was stopped behind an unsure token, and all drafts before that were accepted.
  // `next_rate`: how often drafts are accepted, for the one that would have come.
  void Observe(bool is_accepted, double next_rate);

  double scale() const { return scale_; }
  double unsure_rate() const { return rate_; }

 private:
  static constexpr double kShare = 0.5;  // one unsure token may still be followed by sure ones
  static constexpr double kMost = 0.6;
  static constexpr double kLeastScale = 0.02;
  static constexpr double kMemory = 0.1;     // of the running mean
  static constexpr double kOpen = 0.8;       // factor
  static constexpr double kClose = 1.15;     // factor
  static constexpr double kRelapse = 1.002;  // factor a decision: what was open is tried again

  double scale_ = 1;
  double rate_ = 0.3;
  double break_even_ = kMost;
};

}  // namespace runahead
