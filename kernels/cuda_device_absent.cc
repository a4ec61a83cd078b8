#include "kernels/cuda_device.h"

namespace runahead {

bool HasCudaBackend() { return false; }

Result<std::unique_ptr<Backend>> MakeCudaBackend(const CudaDeviceOptions& /*options*/) {
  return Status(StatusCode::kUnavailable,
                "this build has no CUDA backend: build with the preset `cuda` (RUNAHEAD_CUDA=ON) "
                "where there is a CUDA toolkit of 12.4 or later",
                "backend");
}

}  // namespace runahead
