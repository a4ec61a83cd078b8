// Exchange among the lanes of a warp. All lanes of `mask` must call, in the same order.
#pragma once

#include "kernels/cuda/primitives/platform.h"
#include "kernels/cuda/primitives/thread.h"

namespace runahead::RA_CUDA {

#if defined(RA_CUDA_EMULATOR)

template <typename T>
T ShuffleFrom(T value, int source, uint32_t mask = kAllLanes) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "one or two registers");
  emulator::Shuffle(&value, sizeof(T), source, mask);
  return value;
}
template <typename T>
T ShuffleXor(T value, int lane_mask, uint32_t mask = kAllLanes) {
  return ShuffleFrom(value, (emulator::LinearThread() % kWarp) ^ lane_mask, mask);
}
template <typename T>
T ShuffleUp(T value, int delta, uint32_t mask = kAllLanes) {
  const int lane = emulator::LinearThread() % kWarp;
  return ShuffleFrom(value, lane >= delta ? lane - delta : lane, mask);
}
inline uint32_t Ballot(bool predicate, uint32_t mask = kAllLanes) {
  return emulator::Ballot(predicate, mask);
}
inline int ReduceAdd(int value, uint32_t mask = kAllLanes) {
  return emulator::Reduce(value, emulator::Reduction::kAdd, mask);
}
inline int ReduceMax(int value, uint32_t mask = kAllLanes) {
  return emulator::Reduce(value, emulator::Reduction::kMax, mask);
}
inline int ReduceMin(int value, uint32_t mask = kAllLanes) {
  return emulator::Reduce(value, emulator::Reduction::kMin, mask);
}

#else

// shfl.sync.idx: the value of lane `source`.
template <typename T>
RA_DEVICE T ShuffleFrom(T value, int source, uint32_t mask = kAllLanes) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "one or two registers");
  return __shfl_sync(mask, value, source);
}
// shfl.sync.bfly: the value of lane (own ^ lane_mask).
template <typename T>
RA_DEVICE T ShuffleXor(T value, int lane_mask, uint32_t mask = kAllLanes) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "one or two registers");
  return __shfl_xor_sync(mask, value, lane_mask);
}
// shfl.sync.up: the value of lane (own - delta), its own where there is none.
template <typename T>
RA_DEVICE T ShuffleUp(T value, int delta, uint32_t mask = kAllLanes) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "one or two registers");
  return __shfl_up_sync(mask, value, static_cast<unsigned>(delta));
}
// vote.sync.ballot: bit i is lane i's predicate.
RA_DEVICE uint32_t Ballot(bool predicate, uint32_t mask = kAllLanes) {
  return __ballot_sync(mask, predicate);
}
// redux.sync of signed integers, to all lanes.
RA_DEVICE int ReduceAdd(int value, uint32_t mask = kAllLanes) {
  return __reduce_add_sync(mask, value);
}
RA_DEVICE int ReduceMax(int value, uint32_t mask = kAllLanes) {
  return __reduce_max_sync(mask, value);
}
RA_DEVICE int ReduceMin(int value, uint32_t mask = kAllLanes) {
  return __reduce_min_sync(mask, value);
}

#endif

RA_DEVICE bool AnyLane(bool predicate, uint32_t mask = kAllLanes) {
  return Ballot(predicate, mask) != 0;
}
RA_DEVICE bool AllLanes(bool predicate, uint32_t mask = kAllLanes) {
  return Ballot(!predicate, mask) == 0;
}

}  // namespace runahead::RA_CUDA
