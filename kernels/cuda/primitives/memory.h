// Wide and hinted accesses to memory, and atomics.
#pragma once

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// 16 bytes as four registers.
struct alignas(16) Vec16 {
  uint32_t x[4];
};

#if defined(RA_CUDA_EMULATOR)

inline Vec16 Load16(const void* from) {
  emulator::CheckRead(from, 16, 16);
  Vec16 value;
  __builtin_memcpy(&value, from, 16);
  return value;
}
inline Vec16 LoadOnce16(const void* from) { return Load16(from); }
inline void Store16(void* to, const Vec16& value) {
  emulator::CheckWrite(to, 16, 16);
  __builtin_memcpy(to, &value, 16);
}

template <typename T>
T AtomicAdd(T* at, T value) {
  return emulator::AtomicAdd(at, value);
}
template <typename T>
T AtomicMax(T* at, T value) {
  return emulator::AtomicMax(at, value);
}
inline void FenceDevice() {}

#else

RA_DEVICE Vec16 Load16(const void* from) { return *static_cast<const Vec16*>(from); }
// ld.global.nc.L1::no_allocate: read-only data that nobody reads twice, such as weights.
RA_DEVICE Vec16 LoadOnce16(const void* from) {
  Vec16 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x[0]), "=r"(value.x[1]), "=r"(value.x[2]), "=r"(value.x[3])
               : "l"(from));
  return value;
}
RA_DEVICE void Store16(void* to, const Vec16& value) { *static_cast<Vec16*>(to) = value; }

// atom.add / atom.max, relaxed: the value before. int, unsigned and (add alone) float.
template <typename T>
RA_DEVICE T AtomicAdd(T* at, T value) {
  return atomicAdd(at, value);
}
template <typename T>
RA_DEVICE T AtomicMax(T* at, T value) {
  return atomicMax(at, value);
}
// Orders this thread's writes before what it writes next, for every thread of the device.
RA_DEVICE void FenceDevice() { __threadfence(); }

#endif

}  // namespace runahead::RA_CUDA
