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
// What runs asynchronously (copies that an mbarrier tells of) is one more agent, agent(): its time
// is known only by what waits for it. A wait of one lane alone is known to that lane alone, until
// its warp meets.
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

  int agent() const { return num_threads_; }

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
  // The same, known to the thread and not to its warp.
  void LearnAlone(int thread, const Join& join);
  // Starts work of the agent that comes after what `thread` knows; its time. Whoever learns `join`
  // knows both.
  uint32_t StartAsync(int thread, Join& join);
  static void Merge(const Join& from, Join& into);

  // fence.proxy.async by `thread`: its own accesses up to now, and those it knows of, are ordered
  // before the asynchronous proxy's that follow.
  void FenceProxy(int thread);
  // Whether a write of `writer` at `time` was fenced by the writer, or by `reader` after it.
  bool IsFenced(int writer, uint32_t time, int reader) const;

 private:
  uint32_t Known(int by, int of) const {
    const auto warp = static_cast<size_t>(by / kWarpSize);
    uint32_t known = known_by_warp_[warp * times_.size() + static_cast<size_t>(of)];
    if (has_lane_knowledge_ && of < num_threads_ && of / kWarpSize == by / kWarpSize) {
      const uint32_t by_lane =
          known_by_lane_[static_cast<size_t>(by) * kWarpSize + static_cast<size_t>(of % kWarpSize)];
      known = known > by_lane ? known : by_lane;
    }
    if (!has_private_) return known;
    const std::vector<uint32_t>& own = private_[static_cast<size_t>(by)];
    return own.empty() || own[static_cast<size_t>(of)] < known ? known
                                                               : own[static_cast<size_t>(of)];
  }
  uint32_t* WarpRow(int warp) {
    return known_by_warp_.data() + static_cast<size_t>(warp) * times_.size();
  }
  void SharePrivate(int warp, uint32_t mask, bool is_whole);

  int num_threads_ = 0;
  std::vector<uint32_t> times_;          // [T + 1]: the last is the agent's
  std::vector<uint32_t> known_by_warp_;  // [warps, T + 1]
  std::vector<uint32_t> known_by_lane_;  // [T, 32]: of lanes of the same warp, by partial syncs
  bool has_lane_knowledge_ = false;
  std::vector<std::vector<uint32_t>> private_;  // [T][T + 1], or empty: what a lane alone knows
  bool has_private_ = false;
  std::vector<uint32_t> fenced_;                     // [T]: own accesses
  std::vector<std::vector<uint32_t>> fenced_known_;  // [T][T + 1], or empty: of others
};

}  // namespace runahead::emulator
