// Attention over the paged cache without tensor cores: every cache type and head size to 256. The
// fallback, and the kernel of F32 caches.
//
// A warp a query head of a row, four a block. Keys go by in runs of 32 from position 0:
//
//   lane = key      dot product with q (in shared memory), in ascending order of D; largest;
//   weights lane = column   columns lane, lane + 32, ... of the sum, keys in ascending order
//
// so a row's bits follow from its position alone. Nothing is rounded but in F32 and at the store.
// A key that is not seen is not read.
//
// Roofline: every query head reads all of K and V, Nq / Nkv times what the tensor kernel reads, and
// lanes read different rows of K: slow. Not measured: no GPU yet.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/primitives/launch.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kWarps = 4;
constexpr int kMaxDim = 256;
constexpr int kColumns = kMaxDim / kWarp;

struct SharedStorage {
  float q[kWarps][kMaxDim];
};

// What an element of a row is multiplied with.
template <typename Cache>
RA_DEVICE float ScaleOf(const Cache* row, int row_elements) {
  if constexpr (sizeof(Cache) == 1) {
    return *reinterpret_cast<const float*>(row + row_elements - 4);
  } else {
    return 1.0f;
  }
}
template <typename Cache>
RA_DEVICE float Widen(Cache value) {
  if constexpr (sizeof(Cache) == 1) {
    return static_cast<float>(value);
  } else {
    return ToF32(value);
  }
}

template <typename Cache>
__global__ void __launch_bounds__(kWarps* kWarp)
    PlainAttentionKernel(const __grid_constant__ AttentionParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int num_heads = params.num_kv_heads * params.group;
  const int64_t item = int64_t{BlockX()} * kWarps + WarpIndex();
  if (item >= int64_t{params.num_rows} * num_heads) return;
  const auto t = static_cast<int>(item / num_heads);
  const auto head = static_cast<int>(item % num_heads);
  const int s = params.row_sequences[t];
  if (s < 0) return;
  const Visible visible =
      VisibleAt(params.context_lens[s] - params.row_offsets[s + 1] + t, params.window);
  const int32_t* table = params.block_tables + int64_t{s} * *params.table_stride;
  const auto* keys = static_cast<const Cache*>(params.k);
  const auto* values = static_cast<const Cache*>(params.v);
  const auto row_at = [&](int position) {
    return CacheRow(params, table, head / params.group, position) * params.row_elements;
  };
  float* q = shared.q[WarpIndex()];
  for (int i = Lane(); i < params.head_dim; i += kWarp) q[i] = QueryAt(params, t, head, i);
  SyncWarp();
  SoftmaxState state;
  float sums[kColumns] = {};
#pragma unroll 1
  for (int base = visible.begin / kWarp * kWarp; base < visible.end; base += kWarp) {
    float score = -INFINITY;
    if (visible.Has(base + Lane())) {
      const Cache* key = keys + row_at(base + Lane());
      float dot = 0;
      for (int i = 0; i < params.head_dim; ++i) dot = Fma(q[i], Widen(key[i]), dot);
      score = dot * (ScaleOf(key, params.row_elements) * params.scale_log2e);
    }
    const float largest = WarpReduce(MaxOp()(score, -INFINITY), MaxOp());
    const float highest = MaxOp()(largest, state.highest);
    const float weight = Exp2Approx(score - (highest == -INFINITY ? 0.0f : highest));
    const float shrink = Ratio(state.highest, highest);
    state = {highest, Fma(state.sum, shrink, WarpReduce(weight, AddOp()))};
#pragma unroll
    for (int c = 0; c < kColumns; ++c) sums[c] *= shrink;
    for (int j = 0; j < kWarp; ++j) {
      const float w = ShuffleFrom(weight, j);
      if (!visible.Has(base + j)) continue;
      const Cache* value = values + row_at(base + j);
      const float scaled = w * ScaleOf(value, params.row_elements);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int i = c * kWarp + Lane();
        if (i < params.head_dim) sums[c] = Fma(scaled, Widen(value[i]), sums[c]);
      }
    }
  }
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    const int i = c * kWarp + Lane();
    if (i < params.head_dim) StoreOutput(params, t, head, i, sums[c] / state.sum);
  }
}

template <typename Cache>
void LaunchPlain(const AttentionParams& params, Stream stream) {
  const int64_t items = int64_t{params.num_rows} * params.num_kv_heads * params.group;
  Launch(PlainAttentionKernel<Cache>, {.x = static_cast<int>((items + kWarps - 1) / kWarps)},
         {.x = kWarps * kWarp}, 0, stream, params);
}

}  // namespace

void PlainAttention(const AttentionParams& params, DType cache, Stream stream) {
  RA_CHECK_LE(params.head_dim, kMaxDim);
  WithRows(cache, [&](auto type) { LaunchPlain<decltype(type)>(params, stream); });
}

}  // namespace runahead::RA_CUDA
