// Clocks: which past accesses of a block's threads happened before which, as its barriers order
// them. One host thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace runahead::emulator {

inline constexpr int kWarpSize = 32;

// Vector clocks (Lamport 1978; Fidge, Mattern 1988), kept small by what CUDA allows: barriers
// across warps are joined by whole warps, so what is known of other warps is kept once per warp.
//
// A thread's accesses carry its time; a barrier makes those up to now known to its participants and
// moves their times on. An access (thread a, time s) happened before thread b's next one iff
// known(b, a) >= s.
class Clocks {
 public:
  void Reset(int num_threads);

  uint32_t time(int thread) const { return times_[static_cast<size_t>(thread)]; }
  bool HappenedBefore(int earlier, uint32_t time, int later) const {
    return earlier == later || Known(later, earlier) >= time;
  }

  // All threads of the block.
  void SyncBlock();
  // The lanes of `mask` of one warp.
  void SyncWarp(int warp, uint32_t mask);

  // A barrier across warps: each participant contributes when it arrives; those that wait learn it
  // all when it completes.
  struct Join {
    std::vector<uint32_t> known;  // [T]
  };
  void Contribute(int thread, Join& join);
  void Learn(int thread, const Join& join);

 private:
  uint32_t Known(int by, int of) const {
    const auto warp = static_cast<size_t>(by / kWarpSize);
    const uint32_t known = known_by_warp_[warp * times_.size() + static_cast<size_t>(of)];
    if (!has_lane_knowledge_ || of / kWarpSize != by / kWarpSize) return known;
    const uint32_t by_lane =
        known_by_lane_[static_cast<size_t>(by) * kWarpSize + static_cast<size_t>(of % kWarpSize)];
    return known > by_lane ? known : by_lane;
  }

  std::vector<uint32_t> times_;          // [T]
  std::vector<uint32_t> known_by_warp_;  // [warps, T]
  std::vector<uint32_t> known_by_lane_;  // [T, 32]: of lanes of the same warp, by partial syncs
  bool has_lane_knowledge_ = false;
};

}  // namespace runahead::emulator
