// RMS norm, and residual add with RMS norm, into f32, bf16 or quantized rows.
//
// One block of 256 threads a row; thread t takes elements t, t + 256, ...
//
//   pass 1   sum of squares: 256 partial sums, each in ascending order; lanes by butterfly, warps
//   in
//            ascending order: an order that follows from the width alone
//   pass 2   x * inverse * gain, read again (from L1 or L2) and stored
//
// Roofline: T W (in + out) bytes, plus 4 T W of gains from L2; bandwidth-bound, and launch-bound
// for few rows. Not yet measured on a device.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/row_output.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 256;

struct RmsNormParams {
  const void* x = nullptr;
  int64_t x_stride = 0;
  void* residual = nullptr;  // null: y = norm(x)
  int64_t residual_stride = 0;
  const float* gain = nullptr;
  float eps = 0;
  RowsParams y;
};

struct SharedStorage {
  ReduceStorage<float> squares;
  QuantizeStorage quantize;
};

// 1 / rms from the sum of a row's squares.
RA_DEVICE float InverseRms(float sum, int width, float eps) {
  return 1.0f / sqrtf(sum / static_cast<float>(width) + eps);
}

template <typename X, typename Y>
__global__ void __launch_bounds__(kThreads)
    RmsNormKernel(const __grid_constant__ RmsNormParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int width = params.y.width;
  const int64_t row = BlockX();
  const X* x = static_cast<const X*>(params.x) + row * params.x_stride;
  float sum = 0;
  for (int i = ThreadX(); i < width; i += kThreads) {
    const float v = ToF32(x[i]);
    sum = Fma(v, v, sum);
  }
  sum = BlockReduce<kThreads>(sum, AddOp(), shared.squares);
  const float inverse = InverseRms(sum, width, params.eps);
  const auto normed = [&](int i) { return ToF32(x[i]) * inverse * params.gain[i]; };
  StoreRow<kThreads, Y>(params.y, row, normed, shared.quantize);
}

template <typename X, typename Y>
__global__ void __launch_bounds__(kThreads)
    AddRmsNormKernel(const __grid_constant__ RmsNormParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int width = params.y.width;
  const int64_t row = BlockX();
  const X* x = static_cast<const X*>(params.x) + row * params.x_stride;
  X* residual = static_cast<X*>(params.residual) + row * params.residual_stride;
  float sum = 0;
  for (int i = ThreadX(); i < width; i += kThreads) {
    const X added = RoundTo<X>(ToF32(residual[i]) + ToF32(x[i]));
    residual[i] = added;
    const float v = ToF32(added);
    sum = Fma(v, v, sum);
  }
  // Its barrier also lets every thread read what the others have stored.
  static_assert(kThreads > kWarp, "one warp alone would meet no barrier");
  sum = BlockReduce<kThreads>(sum, AddOp(), shared.squares);
  const float inverse = InverseRms(sum, width, params.eps);
  const auto normed = [&](int i) { return ToF32(residual[i]) * inverse * params.gain[i]; };
  StoreRow<kThreads, Y>(params.y, row, normed, shared.quantize);
}

}  // namespace

void RmsNorm(const RmsNormArgs& args, OpContext& context) {
  CheckArgs(args);
  const auto num_rows = static_cast<int>(args.x.dim(0));
  if (num_rows == 0) return;
  RmsNormParams params;
  params.x = args.x.data;
  params.x_stride = args.x.row_stride;
  params.gain = args.gain;
  params.eps = args.eps;
  params.y = MakeRowsParams(args.y);
  WithActivation(args.x.dtype, [&](auto x) {
    WithRows(args.y.dtype, [&](auto y) {
      Launch(RmsNormKernel<decltype(x), decltype(y)>, {.x = num_rows}, {.x = kThreads}, 0,
             context.stream(), params);
    });
  });
}

void AddRmsNorm(const AddRmsNormArgs& args, OpContext& context) {
  CheckArgs(args);
  const auto num_rows = static_cast<int>(args.x.dim(0));
  if (num_rows == 0) return;
  RmsNormParams params;
  params.x = args.x.data;
  params.x_stride = args.x.row_stride;
  params.residual = args.residual.data;
  params.residual_stride = args.residual.row_stride;
  params.gain = args.gain;
  params.eps = args.eps;
  params.y = MakeRowsParams(args.y);
  WithActivation(args.x.dtype, [&](auto x) {
    WithRows(args.y.dtype, [&](auto y) {
      Launch(AddRmsNormKernel<decltype(x), decltype(y)>, {.x = num_rows}, {.x = kThreads}, 0,
             context.stream(), params);
    });
  });
}

}  // namespace runahead::RA_CUDA
