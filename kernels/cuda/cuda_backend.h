// The CUDA backend. Engine thread only.
#pragma once

#include <functional>
#include <memory>

#include "kernels/backend.h"
#include "kernels/cuda/dense_linear.h"
#include "kernels/cuda/device_runtime.h"

namespace runahead::RA_CUDA {

struct CudaBackendOptions {
  int num_threads = 1;     // of the host, for rounding weights while they load
  bool has_graphs = true;  // whether Capture makes graphs
  // Multiplies 16-bit weights; null: a plain kernel does.
  std::function<std::unique_ptr<DenseLinear>(DeviceRuntime&)> make_dense = {};
};

// The ops on a device reached through `runtime`.
std::unique_ptr<Backend> MakeBackend(std::unique_ptr<DeviceRuntime> runtime,
                                     const CudaBackendOptions& options = {});

}  // namespace runahead::RA_CUDA
