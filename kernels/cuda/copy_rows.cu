// Copies of rows by index: GatherRows, and the blocks of a cache.
//
// A row is cut into units of 16 bytes, or 4, 2 or 1 where its size or place allows no more:
//
//   grid.x: rows    grid.y: pieces of a row, 256 threads x 4 units each
//
// Roofline: twice the bytes copied; bandwidth-bound for blocks, launch-bound for gathers.
#include "kernels/check_args.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/quantized_rows.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 256;
constexpr int kUnitsPerThread = 4;

struct CopyRowsParams {
  const char* from = nullptr;
  int64_t from_stride = 0;  // bytes
  const int32_t* from_rows = nullptr;
  char* to = nullptr;
  int64_t to_stride = 0;
  const int32_t* to_rows = nullptr;  // null: 0, 1, 2, ...
  int64_t row_bytes = 0;
};

template <typename Unit>
__global__ void __launch_bounds__(kThreads)
    CopyRowsKernel(const __grid_constant__ CopyRowsParams params) {
  const int row = BlockX();
  const int64_t to_row = params.to_rows == nullptr ? row : params.to_rows[row];
  const char* from = params.from + params.from_rows[row] * params.from_stride;
  char* to = params.to + to_row * params.to_stride;
  const int64_t num_units = params.row_bytes / static_cast<int64_t>(sizeof(Unit));
  int64_t i = int64_t{BlockY()} * kThreads * kUnitsPerThread + ThreadX();
#pragma unroll
  for (int u = 0; u < kUnitsPerThread; ++u, i += kThreads) {
    if (i < num_units) reinterpret_cast<Unit*>(to)[i] = reinterpret_cast<const Unit*>(from)[i];
  }
}

// Largest unit that divides whatever a row's place and size are made of.
int UnitBytes(const CopyRowsParams& params) {
  const int64_t parts = reinterpret_cast<int64_t>(params.from) |
                        reinterpret_cast<int64_t>(params.to) | params.from_stride |
                        params.to_stride | params.row_bytes;
  return parts % 16 == 0 ? 16 : parts % 4 == 0 ? 4 : parts % 2 == 0 ? 2 : 1;
}

void CopyRows(const CopyRowsParams& params, int num_rows, OpContext& context) {
  const auto launch = [&]<typename Unit>(Unit) {
    const int64_t per_block = int64_t{kThreads} * kUnitsPerThread * sizeof(Unit);
    const auto pieces = static_cast<int>((params.row_bytes + per_block - 1) / per_block);
    Launch(CopyRowsKernel<Unit>, {.x = num_rows, .y = pieces}, {.x = kThreads}, 0, context.stream(),
           params);
  };
  switch (UnitBytes(params)) {
    case 16:
      return launch(Vec16());
    case 4:
      return launch(uint32_t());
    case 2:
      return launch(uint16_t());
    default:
      return launch(uint8_t());
  }
}

int64_t StrideBytes(const TensorView& view) { return view.row_stride * DTypeBytes(view.dtype); }

}  // namespace

void GatherRows(const GatherRowsArgs& args, OpContext& context) {
  CheckArgs(args);
  if (args.rows.empty()) return;
  for (const int32_t row : args.rows) {
    RA_CHECK(row >= 0 && row < args.x.dim(0), "row out of range");
  }
  CopyRowsParams params;
  params.from = static_cast<const char*>(args.x.data);
  params.from_stride = StrideBytes(args.x);
  params.from_rows = context.spans.In(args.rows);
  params.to = static_cast<char*>(args.out.data);
  params.to_stride = StrideBytes(args.out);
  params.row_bytes = RowBytes({args.x.dtype, args.x.group}, args.x.RowElements());
  CopyRows(params, static_cast<int>(args.rows.size()), context);
}

void CopyBlocks(const CopyBlocksArgs& args, OpContext& context) {
  CheckArgs(args);
  if (args.from.empty()) return;
  const int32_t* from = context.spans.In(args.from);
  const int32_t* to = context.spans.In(args.to);
  for (const KvLayerView& layer : args.layers) {
    for (size_t i = 0; i < args.from.size(); ++i) {
      RA_CHECK(args.from[i] >= 0 && args.from[i] < layer.k.dim(0), "block out of range");
      RA_CHECK(args.to[i] >= 0 && args.to[i] < layer.k.dim(0), "block out of range");
    }
    for (const TensorView& cache : {layer.k, layer.v}) {
      CopyRowsParams params;
      params.from = static_cast<const char*>(cache.data);
      params.from_stride = StrideBytes(cache);
      params.from_rows = from;
      params.to = static_cast<char*>(cache.data);
      params.to_stride = StrideBytes(cache);
      params.to_rows = to;
      params.row_bytes = StrideBytes(cache);
      CopyRows(params, static_cast<int>(args.from.size()), context);
    }
  }
}

}  // namespace runahead::RA_CUDA
