// Whether this build's kernels can be loaded on the current device. Start-up thread only.
#pragma once

#include <cuda_runtime.h>

namespace runahead::cuda {

// cudaErrorNoKernelImageForDevice where it was built for other architectures.
cudaError_t LoadProbe();

}  // namespace runahead::cuda
