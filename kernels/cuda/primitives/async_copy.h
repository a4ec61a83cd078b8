// cp.async: copies from global to shared memory that go on while the thread computes (sm_80).
//
// A thread's copies since its last CommitAsync form a group; WaitAsync<N> waits until all but its N
// latest groups are there for this thread. Others see them after a barrier.
#pragma once

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

#if defined(RA_CUDA_EMULATOR)

inline void CopyAsync16(void* shared, const void* global) {
  emulator::CopyAsync(shared, global, 16, 16);
}
inline void CopyAsync16OrZero(void* shared, const void* global, bool has_source) {
  emulator::CopyAsync(shared, global, 16, has_source ? 16 : 0);
}
inline void CopyAsync4(void* shared, const void* global) {
  emulator::CopyAsync(shared, global, 4, 4);
}
inline void CommitAsync() { emulator::CommitAsync(); }
template <int kPendingGroups>
void WaitAsync() {
  emulator::WaitAsync(kPendingGroups);
}

#else

RA_DEVICE uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// cp.async.cg: 16 bytes through L2 alone.
RA_DEVICE void CopyAsync16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(shared)), "l"(global)
               : "memory");
}
// The same, or 16 zeros without a read: for rows and columns beyond the matrix.
RA_DEVICE void CopyAsync16OrZero(void* shared, const void* global, bool has_source) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(SharedAddress(shared)),
               "l"(global), "r"(has_source ? 16 : 0)
               : "memory");
}
// cp.async.ca: 4 bytes.
RA_DEVICE void CopyAsync4(void* shared, const void* global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(SharedAddress(shared)), "l"(global)
               : "memory");
}
RA_DEVICE void CommitAsync() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPendingGroups>
RA_DEVICE void WaitAsync() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPendingGroups) : "memory");
}

#endif

}  // namespace runahead::RA_CUDA
