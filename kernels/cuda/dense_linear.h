// DenseLinear: products of rows and weights of one 16-bit type by a library, where a build has one.
// Engine thread only.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// y[M, N] = x[M, K] W[N, K]^T + bias, summed in f32, rounded once.
struct DenseLinearArgs {
  DType dtype = DType::kBF16;    // of x and weight: bf16 or f16
  const void* x = nullptr;       // [M, K]
  int64_t x_stride = 0;          // elements
  const void* weight = nullptr;  // [N, K], row-major, 256-byte aligned
  const float* bias = nullptr;   // [N]
  void* y = nullptr;             // [M, N] f32 or dtype
  int64_t y_stride = 0;
  bool y_is_f32 = false;
  int num_rows = 0;  // M
  int n = 0;
  int k = 0;
};

class DenseLinear {
 public:
  virtual ~DenseLinear() = default;

  // Set-up: chooses what [n, k] will be multiplied by, and takes the memory for it.
  virtual void Prepare(DType dtype, int64_t n, int64_t k) = 0;
  // False where the library has nothing for the shape: nothing is enqueued for any row.
  virtual bool Run(const DenseLinearArgs& args, Stream stream) = 0;
};

}  // namespace runahead::RA_CUDA
