// What a kernel source needs before its first line, for nvcc and for the emulator
// (tests/cuda_emulator): the namespace of this build, the qualifiers, grid shapes and streams.
//
// The same .cu files are built twice: by nvcc as runahead::cuda, and by the host compiler with
// RA_CUDA_EMULATOR as runahead::cuda_emulated. Both may live in one program.
#pragma once

#include <cstdint>

#if defined(RA_CUDA_EMULATOR)
#include "tests/cuda_emulator/device.h"
#define RA_CUDA cuda_emulated
#define RA_DEVICE inline
#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(...)
#else
#include <cuda_runtime.h>
#define RA_CUDA cuda
#define RA_DEVICE __device__ __forceinline__
#endif

namespace runahead::RA_CUDA {

inline constexpr int kWarp = 32;
inline constexpr uint32_t kAllLanes = 0xffffffffu;

// Extents of a grid or a block, in blocks or threads.
struct Dim3 {
  int x = 1;
  int y = 1;
  int z = 1;
};

// A queue of work on the device: a cudaStream_t, or the emulator's; null runs at once (emulated).
#if defined(RA_CUDA_EMULATOR)
using Stream = emulator::Stream*;
#else
using Stream = cudaStream_t;
#endif

}  // namespace runahead::RA_CUDA
