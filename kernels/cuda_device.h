// The CUDA backend by device number, in builds with and without it. Used by the registry alone.
#pragma once

#include <memory>

#include "core/status.h"
#include "kernels/backend.h"

namespace runahead {

struct CudaDeviceOptions {
  int ordinal = 0;         // as CUDA counts devices
  bool has_graphs = true;  // see DeviceInfo
  bool has_blas = true;    // BF16 layers by cuBLASLt, not by a plain kernel
};

// Whether this build has the CUDA backend at all.
bool HasCudaBackend();

// The CUDA backend on a device. kUnavailable says in one line why
// there is none: no driver, one too old, no such device, one too old for the kernels, or a build
// without CUDA. Start-up thread, once: the calling thread's current device is chosen by it.
Result<std::unique_ptr<Backend>> MakeCudaBackend(const CudaDeviceOptions& options);

}  // namespace runahead
