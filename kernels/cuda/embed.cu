// Embedding: rows of a table, of 32 or 16 bits or quantized, into rows of 32 or 16 bits.
//
// One block of 256 threads a token. Roofline: T H (in + out) bytes; launch-bound.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/row_output.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 256;

struct EmbedParams {
  RowsParams table;
  const int32_t* ids = nullptr;
  RowsParams out;
};

// Value times scale is exact in f32 for a scale that was a bf16: 8 bits by 8 bits.
template <typename Table, typename Out>
__global__ void __launch_bounds__(kThreads)
    EmbedKernel(const __grid_constant__ EmbedParams params) {
  const int token = BlockX();
  const Table* from = RowOf<Table>(params.table, params.ids[token]);
  Out* to = RowOf<Out>(params.out, token);
  for (int i = ThreadX(); i < params.out.width; i += kThreads) {
    if constexpr (sizeof(Table) == 1) {
      const auto* scales = reinterpret_cast<const float*>(from + params.table.scales_at);
      to[i] = RoundTo<Out>(static_cast<float>(from[i]) * scales[i / params.table.group]);
    } else {
      to[i] = RoundTo<Out>(ToF32(from[i]));
    }
  }
}

}  // namespace

void Embed(const EmbedArgs& args, OpContext& context) {
  CheckArgs(args);
  if (args.out.dim(0) == 0) return;
  for (const int32_t id : args.ids) {
    RA_CHECK(id >= 0 && id < args.table.dim(0), "token id out of range");
  }
  EmbedParams params;
  params.table = MakeRowsParams(args.table);
  params.ids = args.drawn_ids != nullptr ? args.drawn_ids : context.spans.In(args.ids);
  params.out = MakeRowsParams(args.out);
  const auto num_tokens = static_cast<int>(args.out.dim(0));
  WithRows(args.table.dtype, [&](auto table) {
    WithActivation(args.out.dtype, [&](auto out) {
      Launch(EmbedKernel<decltype(table), decltype(out)>, {.x = num_tokens}, {.x = kThreads}, 0,
             context.stream(), params);
    });
  });
}

}  // namespace runahead::RA_CUDA
