#include "speculative/confidence_gate.h"

#include <algorithm>

namespace runahead {

float ConfidenceGate::Threshold(double break_even) {
  break_even_ = break_even;
  scale_ = std::min(1.0, scale_ * kRelapse);
  return static_cast<float>(std::clamp(kShare * break_even, 0.0, kMost) * scale_);
}

void ConfidenceGate::Observe(bool is_accepted, double next_rate) {
  rate_ += kMemory * ((is_accepted ? 1.0 : 0.0) - rate_);
  const double factor = rate_ * next_rate > break_even_ ? kOpen : kClose;
  scale_ = std::clamp(scale_ * factor, kLeastScale, 1.0);
}

}  // namespace runahead
