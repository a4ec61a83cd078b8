#include "tests/cuda_emulator/clocks.h"

#include <algorithm>

namespace runahead::emulator {

void Clocks::Reset(int num_threads) {
  const auto threads = static_cast<size_t>(num_threads);
  const size_t warps = (threads + kWarpSize - 1) / kWarpSize;
  times_.assign(threads, 1);
  known_by_warp_.assign(warps * threads, 0);
  known_by_lane_.clear();
  has_lane_knowledge_ = false;
}

void Clocks::SyncBlock() {
  for (size_t at = 0; at < known_by_warp_.size(); at += times_.size()) {
    std::copy(times_.begin(), times_.end(), known_by_warp_.begin() + static_cast<int64_t>(at));
  }
  for (uint32_t& time : times_) ++time;
}

void Clocks::SyncWarp(int warp, uint32_t mask) {
  const size_t first = static_cast<size_t>(warp) * kWarpSize;
  const size_t lanes = std::min<size_t>(kWarpSize, times_.size() - first);
  const uint32_t whole = lanes == kWarpSize ? ~0u : (1u << lanes) - 1;
  if ((mask & whole) == whole) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      known_by_warp_[static_cast<size_t>(warp) * times_.size() + first + lane] =
          times_[first + lane]++;
    }
    return;
  }
  if (!has_lane_knowledge_) known_by_lane_.assign(times_.size() * kWarpSize, 0);
  has_lane_knowledge_ = true;
  // What any of them knows of the warp's lanes, all of them know now.
  for (size_t of = 0; of < lanes; ++of) {
    uint32_t known = (mask >> of & 1u) != 0 ? times_[first + of] : 0;
    for (size_t by = 0; by < lanes; ++by) {
      if ((mask >> by & 1u) != 0) {
        known = std::max(known, known_by_lane_[(first + by) * kWarpSize + of]);
      }
    }
    for (size_t by = 0; by < lanes; ++by) {
      if ((mask >> by & 1u) != 0) known_by_lane_[(first + by) * kWarpSize + of] = known;
    }
  }
  for (size_t lane = 0; lane < lanes; ++lane) {
    if ((mask >> lane & 1u) != 0) ++times_[first + lane];
  }
}

void Clocks::Contribute(int thread, Join& join) {
  const auto t = static_cast<size_t>(thread);
  join.known.resize(times_.size(), 0);
  const uint32_t* known = known_by_warp_.data() + t / kWarpSize * times_.size();
  for (size_t of = 0; of < times_.size(); ++of)
    join.known[of] = std::max(join.known[of], known[of]);
  join.known[t] = std::max(join.known[t], times_[t]);
  ++times_[t];
}

void Clocks::Learn(int thread, const Join& join) {
  const size_t at = static_cast<size_t>(thread / kWarpSize) * times_.size();
  for (size_t of = 0; of < times_.size(); ++of) {
    known_by_warp_[at + of] = std::max(known_by_warp_[at + of], join.known[of]);
  }
}

}  // namespace runahead::emulator
