#include "tests/cuda_emulator/clocks.h"

#include <algorithm>
#include <utility>

namespace runahead::emulator {

void Clocks::Reset(int num_threads) {
  num_threads_ = num_threads;
  const size_t width = static_cast<size_t>(num_threads) + 1;
  const size_t warps = (width - 1 + kWarpSize - 1) / kWarpSize;
  times_.assign(width, 1);
  known_by_warp_.assign(warps * width, 0);
  known_by_lane_.clear();
  has_lane_knowledge_ = false;
  private_.assign(width - 1, {});
  has_private_ = false;
  fenced_.assign(width - 1, 0);
  fenced_known_.assign(width - 1, {});
}

void Clocks::SyncBlock() {
  const size_t width = times_.size();
  // All threads are known to all up to now; of the agent, what any of them knew.
  uint32_t of_agent = 0;
  for (size_t at = width - 1; at < known_by_warp_.size(); at += width) {
    of_agent = std::max(of_agent, known_by_warp_[at]);
  }
  for (std::vector<uint32_t>& own : private_) {
    if (!own.empty()) of_agent = std::max(of_agent, own.back());
    own.clear();
  }
  has_private_ = false;
  for (size_t at = 0; at < known_by_warp_.size(); at += width) {
    std::copy(times_.begin(), times_.end() - 1, known_by_warp_.begin() + static_cast<int64_t>(at));
    known_by_warp_[at + width - 1] = of_agent;
  }
  for (size_t t = 0; t + 1 < width; ++t) ++times_[t];
}

// What lanes of `mask` know alone, the others of `mask` know too.
void Clocks::SharePrivate(int warp, uint32_t mask, bool is_whole) {
  Join all;
  const int first = warp * kWarpSize;
  for (int lane = 0; lane < kWarpSize && first + lane < num_threads_; ++lane) {
    std::vector<uint32_t>& own = private_[static_cast<size_t>(first + lane)];
    if ((mask >> lane & 1u) == 0 || own.empty()) continue;
    Merge({own}, all);
    if (is_whole) own.clear();
  }
  if (all.known.empty()) return;
  if (is_whole) return Learn(first, all);
  for (int lane = 0; lane < kWarpSize && first + lane < num_threads_; ++lane) {
    if ((mask >> lane & 1u) != 0) private_[static_cast<size_t>(first + lane)] = all.known;
  }
}

void Clocks::SyncWarp(int warp, uint32_t mask) {
  const size_t first = static_cast<size_t>(warp) * kWarpSize;
  const size_t lanes = std::min<size_t>(kWarpSize, static_cast<size_t>(num_threads_) - first);
  const uint32_t whole = lanes == kWarpSize ? ~0u : (1u << lanes) - 1;
  const bool is_whole = (mask & whole) == whole;
  if (has_private_) SharePrivate(warp, mask, is_whole);
  if (is_whole) {
    uint32_t* known = WarpRow(warp);
    for (size_t lane = 0; lane < lanes; ++lane) known[first + lane] = times_[first + lane]++;
    return;
  }
  if (!has_lane_knowledge_) known_by_lane_.assign(static_cast<size_t>(num_threads_) * kWarpSize, 0);
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

void Clocks::Merge(const Join& from, Join& into) {
  into.known.resize(std::max(into.known.size(), from.known.size()), 0);
  for (size_t of = 0; of < from.known.size(); ++of) {
    into.known[of] = std::max(into.known[of], from.known[of]);
  }
}

void Clocks::Contribute(int thread, Join& join) {
  const auto t = static_cast<size_t>(thread);
  join.known.resize(times_.size(), 0);
  const uint32_t* known = WarpRow(thread / kWarpSize);
  for (size_t of = 0; of < times_.size(); ++of) {
    join.known[of] = std::max(join.known[of], known[of]);
  }
  if (!private_[t].empty()) Merge({private_[t]}, join);
  join.known[t] = std::max(join.known[t], times_[t]);
  ++times_[t];
}

void Clocks::Learn(int thread, const Join& join) {
  uint32_t* known = WarpRow(thread / kWarpSize);
  for (size_t of = 0; of < join.known.size(); ++of) known[of] = std::max(known[of], join.known[of]);
}

void Clocks::LearnAlone(int thread, const Join& join) {
  Join own{std::move(private_[static_cast<size_t>(thread)])};
  Merge(join, own);
  private_[static_cast<size_t>(thread)] = std::move(own.known);
  has_private_ = true;
}

uint32_t Clocks::StartAsync(int thread, Join& join) {
  Contribute(thread, join);
  return join.known.back() = ++times_.back();
}

void Clocks::FenceProxy(int thread) {
  const auto t = static_cast<size_t>(thread);
  std::vector<uint32_t>& known = fenced_known_[t];
  known.resize(times_.size());
  for (int of = 0; of <= num_threads_; ++of) known[static_cast<size_t>(of)] = Known(thread, of);
  fenced_[t] = times_[t]++;
}

bool Clocks::IsFenced(int writer, uint32_t time, int reader) const {
  if (writer < num_threads_ && time <= fenced_[static_cast<size_t>(writer)]) return true;
  const std::vector<uint32_t>& known = fenced_known_[static_cast<size_t>(reader)];
  return !known.empty() && known[static_cast<size_t>(writer)] >= time;
}

}  // namespace runahead::emulator
