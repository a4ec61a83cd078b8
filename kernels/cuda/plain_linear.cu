// Linear layers of F32, BF16 and F16 weights: the plain fallback, right for every shape and type.
//
// One warp an output, four warps a block, up to four rows each: lane l multiplies elements l, l +
// 32, ... of K in ascending order, lanes are added by butterfly. So an output's bits depend on its
// row and weight alone, whatever the number of rows.
//
//   grid.x: outputs by four    grid.y: rows by four
//
// Roofline: N K weight bytes for each four rows; a warp reads 128 (or 64) bytes of a weight row at
// a time. It is for small layers and as a reference on the device; no claim is made of its speed.
#include <type_traits>
#include <vector>

#include "kernels/check_args.h"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/host_values.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/math.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kWarps = 4;
constexpr int kRows = 4;

struct PlainLinearParams {
  const void* x = nullptr;  // [T, K]
  int64_t x_stride = 0;
  const void* weight = nullptr;  // [N, K] row-major
  const float* bias = nullptr;   // [N]
  void* y = nullptr;             // [T, N]
  int64_t y_stride = 0;
  int num_rows = 0;
  int n = 0;
  int k = 0;
};

template <typename W, typename Y>
__global__ void __launch_bounds__(kWarps* kWarp)
    PlainLinearKernel(const __grid_constant__ PlainLinearParams params) {
  const int output = BlockX() * kWarps + WarpIndex();
  if (output >= params.n) return;
  const int first_row = BlockY() * kRows;
  const W* weight = static_cast<const W*>(params.weight) + int64_t{output} * params.k;
  const W* x = static_cast<const W*>(params.x) + first_row * params.x_stride;
  const int num_rows = params.num_rows - first_row;
  float sums[kRows] = {};
  for (int i = Lane(); i < params.k; i += kWarp) {
    const float w = ToF32(weight[i]);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r < num_rows) sums[r] = Fma(w, ToF32(x[r * params.x_stride + i]), sums[r]);
    }
  }
  Y* y = static_cast<Y*>(params.y) + first_row * params.y_stride + output;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float sum = WarpReduce(sums[r], AddOp()) + params.bias[output];
    if (Lane() == 0 && r < num_rows) y[r * params.y_stride] = RoundTo<Y>(sum);
  }
}

class PlainLinearWeight final : public LinearWeight {
 public:
  PlainLinearWeight(int64_t n, int64_t k, DType dtype, DeviceRuntime& runtime)
      : LinearWeight(n, k),
        dtype_(dtype),
        values_(runtime.Allocate(n * k * DTypeBytes(dtype), MemoryKind::kDevice)),
        bias_(runtime.Allocate(n * 4, MemoryKind::kDevice)) {}

  InputFormat input_format() const override { return {dtype_}; }
  int64_t bytes() const override { return values_.bytes() + bias_.bytes(); }

  void* row(int64_t i) const {
    return static_cast<char*>(values_.data()) + i * k() * DTypeBytes(dtype_);
  }
  float* bias() const { return static_cast<float*>(bias_.data()); }

 private:
  DType dtype_;
  DeviceBuffer values_;  // [N, K]
  DeviceBuffer bias_;    // [N] f32, zeros where there is none
};

// One row at a time, in the weight's type.
template <typename T>
void CopyPart(const TensorView& part, const PlainLinearWeight& weight, int64_t first,
              DeviceRuntime& runtime) {
  std::vector<T> row(static_cast<size_t>(part.dim(1)));
  for (int64_t i = 0; i < part.dim(0); ++i) {
    for (int64_t j = 0; j < part.dim(1); ++j) {
      const float value = FloatAt(part, i * part.row_stride + j);
      T& to = row[static_cast<size_t>(j)];
      if constexpr (std::is_same_v<T, float>) {
        to = value;
      } else if constexpr (std::is_same_v<T, Float16>) {
        to = ToFloat16(value);
      } else {
        to = ToBFloat16(value);
      }
    }
    runtime.CopyToDevice(weight.row(first + i), row.data(),
                         static_cast<int64_t>(row.size() * sizeof(T)));
  }
}

}  // namespace

std::unique_ptr<LinearWeight> PackPlainLinear(const HostLinear& canonical, DeviceRuntime& runtime) {
  CheckArgs(canonical);
  const DType dtype = canonical.format.dtype();
  int64_t n = 0;
  for (const TensorView& part : canonical.parts) n += part.dim(0);
  auto weight = std::make_unique<PlainLinearWeight>(n, canonical.parts[0].dim(1), dtype, runtime);
  int64_t first = 0;
  std::vector<float> bias(static_cast<size_t>(n));
  for (size_t p = 0; p < canonical.parts.size(); ++p) {
    const TensorView& part = canonical.parts[p];
    WithActivation(dtype,
                   [&](auto type) { CopyPart<decltype(type)>(part, *weight, first, runtime); });
    if (!canonical.biases.empty() && canonical.biases[p].data != nullptr) {
      for (int64_t i = 0; i < part.dim(0); ++i) {
        bias[static_cast<size_t>(first + i)] = FloatAt(canonical.biases[p], i);
      }
    }
    first += part.dim(0);
  }
  runtime.CopyToDevice(weight->bias(), bias.data(), n * 4);
  return weight;
}

void PlainLinear(const LinearArgs& args, OpContext& context) {
  CheckArgs(args);
  const auto& weight = static_cast<const PlainLinearWeight&>(*args.weight);
  PlainLinearParams params;
  params.x = args.x.data;
  params.x_stride = args.x.row_stride;
  params.weight = weight.row(0);
  params.bias = weight.bias();
  params.y = args.y.data;
  params.y_stride = args.y.row_stride;
  params.num_rows = static_cast<int>(args.x.dim(0));
  params.n = static_cast<int>(weight.n());
  params.k = static_cast<int>(weight.k());
  if (params.num_rows == 0) return;
  const DType dtype = weight.input_format().dtype;
  if (context.dense != nullptr && dtype != DType::kF32 &&
      context.dense->Run({.dtype = dtype,
                          .x = params.x,
                          .x_stride = params.x_stride,
                          .weight = params.weight,
                          .bias = params.bias,
                          .y = params.y,
                          .y_stride = params.y_stride,
                          .y_is_f32 = args.y.dtype == DType::kF32,
                          .num_rows = params.num_rows,
                          .n = params.n,
                          .k = params.k},
                         context.stream())) {
    return;
  }
  WithActivation(dtype, [&](auto w) {
    WithActivation(args.y.dtype, [&](auto y) {
      Launch(PlainLinearKernel<decltype(w), decltype(y)>,
             {.x = (params.n + kWarps - 1) / kWarps, .y = (params.num_rows + kRows - 1) / kRows},
             {.x = kWarps * kWarp}, 0, context.stream(), params);
    });
  });
}

}  // namespace runahead::RA_CUDA
