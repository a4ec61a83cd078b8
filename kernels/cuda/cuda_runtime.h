// The CUDA runtime as the backend's device. Engine thread only.
#pragma once

#include <memory>

#include "core/status.h"
#include "kernels/cuda/device_runtime.h"

namespace runahead::cuda {

// Device `ordinal`. kUnavailable says why there is none to be had: no driver, one too old for this
// build, no such device, or one older than sm_80.
Result<std::unique_ptr<DeviceRuntime>> MakeCudaRuntime(int ordinal);

}  // namespace runahead::cuda
