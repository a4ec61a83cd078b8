#include "kernels/cuda_device.h"

#include <algorithm>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "kernels/cuda/blas_linear.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_runtime.h"

namespace runahead {

bool HasCudaBackend() { return true; }

Result<std::unique_ptr<Backend>> MakeCudaBackend(const CudaDeviceOptions& options) {
  const int num_threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  try {
    RA_ASSIGN_OR_RETURN(std::unique_ptr<cuda::DeviceRuntime> runtime,
                        cuda::MakeCudaRuntime(options.ordinal));
    cuda::CudaBackendOptions backend = {.num_threads = num_threads,
                                        .has_graphs = options.has_graphs};
    if (options.has_blas) backend.make_dense = cuda::MakeBlasLinear;
    return cuda::MakeBackend(std::move(runtime), backend);
  } catch (const std::exception& error) {  // a device that another process fills or holds
    return Status(StatusCode::kUnavailable,
                  "CUDA device " + std::to_string(options.ordinal) + ": " + error.what(),
                  "backend");
  }
}

}  // namespace runahead
