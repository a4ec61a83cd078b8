// Launch: starts a kernel, for nvcc and the emulator alike. Engine thread only.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

#if defined(RA_CUDA_EMULATOR)

// A kernel is `__global__ void K(const __grid_constant__ Params params)`. Enqueues it on `stream`
// with `shared_bytes` of dynamic shared memory; a launch that is refused is a bug and aborts.
template <typename Params>
void Launch(void (*kernel)(Params), Dim3 grid, Dim3 block, int64_t shared_bytes, Stream stream,
            const Params& params) {
  const auto run = [=] {
    const emulator::LaunchShape shape = {
        {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes, __PRETTY_FUNCTION__};
    if (!emulator::CheckSharedMemory(reinterpret_cast<const void*>(kernel), shape)) return;
    struct Call {
      void (*kernel)(Params);
      Params params;
    } call = {kernel, params};
    emulator::Run(
        shape,
        [](void* argument) {
          const auto& it = *static_cast<Call*>(argument);
          it.kernel(it.params);
        },
        &call, sizeof(call));
  };
  if (stream == nullptr) return run();
  stream->Enqueue(run);
}

// Lets a kernel have more than 48 KB of dynamic shared memory. Once, at start-up.
template <typename Params>
void AllowSharedMemory(void (*kernel)(Params), int64_t bytes) {
  emulator::AllowSharedMemory(reinterpret_cast<const void*>(kernel), bytes);
}

#else

// Whether a launch was refused for what it asked, which is a bug of ours. Any other error is that
// of a device that has failed: it stays, and whoever waits for the device is told
// (device_runtime.h).
inline bool IsRefusal(cudaError_t error) {
  return error == cudaErrorInvalidValue || error == cudaErrorInvalidConfiguration ||
         error == cudaErrorInvalidDeviceFunction || error == cudaErrorInvalidResourceHandle ||
         error == cudaErrorLaunchOutOfResources || error == cudaErrorNoKernelImageForDevice ||
         (error >= cudaErrorStreamCaptureUnsupported && error <= cudaErrorCapturedEvent);
}

inline void CheckCuda(cudaError_t error, const char* what) {
  RA_CHECK(!IsRefusal(error),
           std::string(what) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

template <typename Params>
void Launch(void (*kernel)(Params), Dim3 grid, Dim3 block, int64_t shared_bytes, Stream stream,
            const Params& params) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                        static_cast<unsigned>(grid.z));
  config.blockDim = dim3(static_cast<unsigned>(block.x), static_cast<unsigned>(block.y),
                         static_cast<unsigned>(block.z));
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream;
  CheckCuda(cudaLaunchKernelEx(&config, kernel, params), __PRETTY_FUNCTION__);
}

template <typename Params>
void AllowSharedMemory(void (*kernel)(Params), int64_t bytes) {
  CheckCuda(
      cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                           cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
      __PRETTY_FUNCTION__);
}

#endif

}  // namespace runahead::RA_CUDA
