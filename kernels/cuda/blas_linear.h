// BlasLinear: DenseLinear by cuBLASLt. Engine thread only.
#pragma once

#include <memory>

#include "kernels/cuda/dense_linear.h"
#include "kernels/cuda/device_runtime.h"

namespace runahead::cuda {

// Null where cuBLASLt cannot be started on the runtime's device.
std::unique_ptr<DenseLinear> MakeBlasLinear(DeviceRuntime& runtime);

}  // namespace runahead::cuda
