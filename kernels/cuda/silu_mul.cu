// silu(gate) * up, into rows of 32 or 16 bits or quantized ones.
//
// One block of 256 threads a row: gate is [0, I), up is [I, 2 I) of the row.
//
// Roofline: T I (2 in + out) bytes, one expf and one division an element; bandwidth-bound. A
// quantized output computes each element twice rather than keep it. Not yet measured on a device.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/row_output.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 256;

struct SiluMulParams {
  const void* gate_up = nullptr;
  int64_t gate_up_stride = 0;
  RowsParams out;
};

struct SharedStorage {
  QuantizeStorage quantize;
};

template <typename X, typename Y>
__global__ void __launch_bounds__(kThreads)
    SiluMulKernel(const __grid_constant__ SiluMulParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int64_t row = BlockX();
  const X* gate = static_cast<const X*>(params.gate_up) + row * params.gate_up_stride;
  const X* up = gate + params.out.width;
  const auto value = [&](int i) {
    const float g = ToF32(gate[i]);
    return g / (1.0f + expf(-g)) * ToF32(up[i]);
  };
  StoreRow<kThreads, Y>(params.out, row, value, shared.quantize);
}

}  // namespace

void SiluMul(const SiluMulArgs& args, OpContext& context) {
  CheckArgs(args);
  const auto num_rows = static_cast<int>(args.out.dim(0));
  if (num_rows == 0) return;
  SiluMulParams params;
  params.gate_up = args.gate_up.data;
  params.gate_up_stride = args.gate_up.row_stride;
  params.out = MakeRowsParams(args.out);
  WithActivation(args.gate_up.dtype, [&](auto x) {
    WithRows(args.out.dtype, [&](auto y) {
      Launch(SiluMulKernel<decltype(x), decltype(y)>, {.x = num_rows}, {.x = kThreads}, 0,
             context.stream(), params);
    });
  });
}

}  // namespace runahead::RA_CUDA
