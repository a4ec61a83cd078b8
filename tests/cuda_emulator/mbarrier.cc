#include "tests/cuda_emulator/mbarrier.h"

#include <utility>

namespace runahead::emulator {

bool Mbarrier::Arrive() {
  if (num_pending_ == 0) return false;
  --num_pending_;
  return true;
}

bool Mbarrier::Expect(int64_t bytes) {
  num_bytes_ += bytes;
  return num_bytes_ <= kMost && num_bytes_ >= -kMost;
}

bool Mbarrier::TryNextPhase() {
  if (num_pending_ != 0 || num_bytes_ != 0) return false;
  num_pending_ = num_arrivals_;
  ++phase_;
  over = std::exchange(arrived, {});
  return true;
}

std::string Mbarrier::Text() const {
  return "phase " + std::to_string(phase_) + " lacks " + std::to_string(num_pending_) +
         " arrivals and " + std::to_string(num_bytes_) + " bytes";
}

}  // namespace runahead::emulator
