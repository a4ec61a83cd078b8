// PagedAttention: chooses the kernel, folds chunks that were computed apart, and quantizes the
// result where the o-projection wants quantized rows.
//
//   MergeKernel      a block for 16 packed rows of a KV head: chunks in ascending order by the
//                    formula of a block that has them all (attention_rows.cuh)
//   QuantizeKernel   a block a row, from q, where the result was kept
//
// Roofline: (16 D + 32) 4 bytes a chunk of 256 tokens and KV head, against 1024 D bytes of K and V
// (BF16): 6 %, written and read once. Not measured: no GPU yet.
#include <cmath>

#include "kernels/check_args.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/row_output.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    MergeKernel(const __grid_constant__ AttentionParams params) {
  const MergeItem item = params.merges[BlockX()];
  if (item.num_chunks == 0) return;
  const int first_query = params.row_offsets[item.sequence];
  const int num_rows = (params.row_offsets[item.sequence + 1] - first_query) * params.group;
  const int dim = params.head_dim;
  const int64_t size = int64_t{kRowBlock} * (dim + 2);
  for (int i = ThreadX(); i < kRowBlock * dim; i += kThreads) {
    const int packed = item.first_row + i / dim;
    if (packed >= num_rows) break;
    SoftmaxState state;
    float sum = 0;
    for (int chunk = 0; chunk < item.num_chunks; ++chunk) {
      const float* partial =
          params.partials + (int64_t{item.partial + chunk} * params.num_kv_heads + BlockY()) * size;
      const auto* states = reinterpret_cast<const SoftmaxState*>(partial + kRowBlock * dim);
      const FoldFactors factors = Fold(state, states[i / dim]);
      sum = FoldOutput(sum, factors, partial[i]);
    }
    StoreOutput(params, first_query + packed / params.group,
                BlockY() * params.group + packed % params.group, i % dim, sum / state.sum);
  }
}

struct QuantizeParams {
  const void* x = nullptr;  // [T, Nq D]
  int64_t x_stride = 0;
  RowsParams out;
};

template <typename X>
__global__ void __launch_bounds__(kThreads)
    QuantizeKernel(const __grid_constant__ QuantizeParams params) {
  auto& shared = StaticShared<QuantizeStorage>();
  const int64_t row = BlockX();
  const X* x = static_cast<const X*>(params.x) + row * params.x_stride;
  StoreRow<kThreads, int8_t>(
      params.out, row, [&](int i) { return ToF32(x[i]); }, shared);
}

void Quantize(const PagedAttentionArgs& args, Stream stream) {
  QuantizeParams params;
  params.x = args.q.data;
  params.x_stride = args.q.row_stride;
  params.out = MakeRowsParams(args.out);
  const Dim3 grid = {.x = static_cast<int>(args.q.dim(0))};
  WithActivation(args.q.dtype, [&](auto x) {
    Launch(QuantizeKernel<decltype(x)>, grid, {.x = kThreads}, 0, stream, params);
  });
}

AttentionParams MakeParams(const PagedAttentionArgs& args, const CudaAttentionPlan& plan) {
  AttentionParams params;
  params.q = args.q.data;
  params.q_stride = args.q.row_stride;
  params.q_dtype = args.q.dtype;
  params.k = args.cache.k.data;
  params.v = args.cache.v.data;
  params.block_size = args.cache.block_size;
  params.row_elements = static_cast<int>(args.cache.k.dim(3));
  if (args.out.dtype != DType::kI8) {
    params.out = args.out.data;
    params.out_stride = args.out.row_stride;
    params.out_dtype = args.out.dtype;
  }
  params.num_rows = plan.num_rows();
  params.num_kv_heads = static_cast<int>(args.cache.k.dim(1));
  params.group = static_cast<int>(args.q.dim(1)) / params.num_kv_heads;
  params.head_dim = static_cast<int>(args.q.dim(2));
  params.window = args.sliding_window;
  params.scale_log2e = args.scale * 1.44269504f;
  params.row_offsets = plan.row_offsets();
  params.context_lens = plan.context_lens();
  params.row_sequences = plan.row_sequences();
  params.block_tables = plan.block_tables();
  params.table_stride = plan.table_stride();
  params.merges = plan.merges();
  params.partials = plan.partials();
  return params;
}

}  // namespace

std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits,
                                                 DeviceRuntime& runtime) {
  AllowDecodeAttention();
  AllowPrefillAttention();
  return std::make_unique<CudaAttentionPlan>(limits, runtime);
}

void PlanAttention(const BatchShape& shape, AttentionPlan& plan, OpContext& context) {
  static_cast<CudaAttentionPlan&>(plan).Plan(shape, context.runtime, context.spans);
}

void PagedAttention(const PagedAttentionArgs& args, OpContext& context) {
  CheckArgs(args);
  const auto& plan = static_cast<const CudaAttentionPlan&>(*args.plan);
  if (plan.num_rows() == 0) return;
  const AttentionLimits& limits = plan.limits();
  RA_CHECK_EQ(args.q.dim(0), int64_t{plan.num_rows()});
  RA_CHECK(args.q.dim(1) == limits.num_heads && args.q.dim(2) == limits.head_dim &&
               args.cache.k.dim(1) == limits.num_kv_heads,
           "the plan was made for other heads");
  const AttentionParams params = MakeParams(args, plan);
  if (HasTensorAttention(args.cache.k.dtype, params.head_dim)) {
    DecodeAttention(params, args.cache.k.dtype, plan, context.stream());
    PrefillAttention(params, args.cache.k.dtype, plan, context.stream());
    if (plan.num_merges() > 0) {
      Launch(MergeKernel, {.x = plan.num_merges(), .y = params.num_kv_heads}, {.x = kThreads}, 0,
             context.stream(), params);
    }
  } else {
    PlainAttention(params, args.cache.k.dtype, context.stream());
  }
  if (args.out.dtype == DType::kI8) Quantize(args, context.stream());
}

}  // namespace runahead::RA_CUDA
