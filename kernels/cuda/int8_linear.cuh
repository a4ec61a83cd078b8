// What the kernels of W8A8 layers share: their parameters, and how a sum of codes becomes an
// output.
#pragma once

#include "kernels/cuda/warp_slices.cuh"

namespace runahead::RA_CUDA {

struct Int8LinearParams {
  const int8_t* x = nullptr;  // [M] quantized rows
  int64_t x_stride = 0;       // bytes
  int64_t scales_at = 0;      // of a row's scale, in bytes
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  const float* bias = nullptr;
  LinearOutput y;
  int padded_n = 0;
  int padded_k = 0;
};

RA_DEVICE float ScaleOfRow(const Int8LinearParams& params, int64_t t) {
  return *reinterpret_cast<const float*>(params.x + t * params.x_stride + params.scales_at);
}
// y[t, output] of the exact sum of products of codes; `scale` is row t's.
RA_DEVICE float OutputOfCodes(const Int8LinearParams& params, float scale, int output,
                              int32_t sum) {
  return static_cast<float>(sum) * (params.scales[output] * scale) + params.bias[output];
}

// Many rows on sm_90a (int8_wgmma_linear.cu), in blocks of so many rows and outputs.
inline constexpr int kWgmmaRows = 128;
inline constexpr int kWgmmaOutputs = 256;
void AllowInt8WgmmaLinear();  // once, before the first
void Int8WgmmaLinear(const Int8LinearParams& params, DType y_dtype, Stream stream);

}  // namespace runahead::RA_CUDA
