// The CUDA backend. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "kernels/cuda/device_runtime.h"

namespace runahead::RA_CUDA {

// The ops on a device reached through `runtime`.
std::unique_ptr<Backend> MakeBackend(std::unique_ptr<DeviceRuntime> runtime);

}  // namespace runahead::RA_CUDA
