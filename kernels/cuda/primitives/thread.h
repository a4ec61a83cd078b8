// Who a thread is, its block's shared memory, and the barriers it meets others at.
#pragma once

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

#if defined(RA_CUDA_EMULATOR)

inline int ThreadX() { return emulator::ThreadIndex().x; }
inline int ThreadY() { return emulator::ThreadIndex().y; }
inline int BlockX() { return emulator::BlockIndex().x; }
inline int BlockY() { return emulator::BlockIndex().y; }
inline int BlockZ() { return emulator::BlockIndex().z; }
inline int BlockSizeX() { return emulator::BlockSize().x; }
inline int GridSizeX() { return emulator::GridSize().x; }
inline int GridSizeY() { return emulator::GridSize().y; }

inline void SyncThreads(const emulator::Where& at = emulator::Where::current()) {
  emulator::SyncThreads(at);
}
inline void SyncWarp(uint32_t mask = kAllLanes) { emulator::SyncWarp(mask); }
inline void SyncNamed(int barrier, int num_threads,
                      const emulator::Where& at = emulator::Where::current()) {
  emulator::SyncNamed(barrier, num_threads, at);
}
inline void ArriveNamed(int barrier, int num_threads,
                        const emulator::Where& at = emulator::Where::current()) {
  emulator::ArriveNamed(barrier, num_threads, at);
}

template <typename T>
T& StaticShared() {
  static const char kKey = 0;
  return *static_cast<T*>(emulator::StaticShared(&kKey, sizeof(T), alignof(T)));
}
template <typename T>
T* DynamicShared() {
  return static_cast<T*>(emulator::DynamicShared());
}

// A check of the kernel's own: ends it where `condition` does not hold.
inline void DeviceCheck(bool condition, const char* message) {
  if (!condition) emulator::Trap(message);
}

#else

RA_DEVICE int ThreadX() { return static_cast<int>(threadIdx.x); }
RA_DEVICE int ThreadY() { return static_cast<int>(threadIdx.y); }
RA_DEVICE int BlockX() { return static_cast<int>(blockIdx.x); }
RA_DEVICE int BlockY() { return static_cast<int>(blockIdx.y); }
RA_DEVICE int BlockZ() { return static_cast<int>(blockIdx.z); }
RA_DEVICE int BlockSizeX() { return static_cast<int>(blockDim.x); }
RA_DEVICE int GridSizeX() { return static_cast<int>(gridDim.x); }
RA_DEVICE int GridSizeY() { return static_cast<int>(gridDim.y); }

// All threads of the block.
RA_DEVICE void SyncThreads() { __syncthreads(); }
// The lanes of `mask`; orders their accesses.
RA_DEVICE void SyncWarp(uint32_t mask = kAllLanes) { __syncwarp(mask); }
// bar.sync: waits until `num_threads` threads, whole warps, have come to barrier 1..15.
RA_DEVICE void SyncNamed(int barrier, int num_threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(num_threads) : "memory");
}
// bar.arrive: counts as having come, and goes on.
RA_DEVICE void ArriveNamed(int barrier, int num_threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(num_threads) : "memory");
}

// The block's one object of type T in static shared memory, uninitialised.
template <typename T>
RA_DEVICE T& StaticShared() {
  alignas(T) __shared__ unsigned char bytes[sizeof(T)];
  return *reinterpret_cast<T*>(bytes);
}
// The dynamic shared memory the launch asked for, aligned to 1024 bytes.
template <typename T>
RA_DEVICE T* DynamicShared() {
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  return reinterpret_cast<T*>(dynamic_shared);
}

RA_DEVICE void DeviceCheck(bool condition, const char* /*message*/) {
  if (!condition) __trap();
}

#endif

RA_DEVICE int Lane() { return ThreadX() % kWarp; }  // blocks of one dimension
RA_DEVICE int WarpIndex() { return ThreadX() / kWarp; }

}  // namespace runahead::RA_CUDA
