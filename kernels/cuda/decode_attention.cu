// Attention over the paged cache on tensor cores, for sequences of few rows: decode and
// verification (prefill_attention.cu has more rows, and gives the same bits). BF16 and F16 caches,
// and INT8 caches (a scale a token and KV head); head sizes that are multiples of 16 up to 128.
// plain_attention.cu does the rest.
//
// A block of 4 warps has one KV head and 16 packed rows: the heads of a GQA group times the queries
// of a sequence (attention_plan.h). It walks key tiles of 64 tokens; K and V of the next
// tile are on their way (cp.async) while this one is reduced:
//
//            K tile [64, D]                                   V tile [64, D]
//          keys 0..15  16..31  32..47  48..63               columns  0..15 16..31 ... D-16..D-1
//   Q [16, D]  warp 0   warp 1  warp 2  warp 3   P [16, 64]           w 0    w 1  w 2  w 3  w 0 ..
//              --------- S [16, 64] ---------                         ------- O [16, D] -------
//
//   Score      S = Q K^T: each warp its 16 keys; to shared memory, masked
//   Soften     a warp each fourth row, two keys a lane: largest, weights P, their sum, how much the
//              rows so far shrink
//   Weigh      O = O shrink + P V: each warp its columns
//   FoldChunk  after kChunkTiles tiles: total = total a + O b (attention_rows.cuh)
//
// Order. A row's scores, its sums over a tile, tiles within a chunk and chunks follow from the row
// and the position alone. Chunks computed by other blocks (plan: split) are folded by
// MergeKernel with the same formula, so a row's bits depend neither on the batch nor on the split.
//
// Rounding. BF16 or F16 cache: q and the weights to the same. INT8 cache: q to BF16; values are
// exact in BF16, K's scale multiplies the score; V's scale multiplies the weight, which is then the
// sum of two BF16 (16 bits). Sums in F32.
//
// Masking. Tokens beyond the sequence are never read. In a tile that not all rows see whole (the
// last one, the window's edge) what is not finite in V is taken out, and rows that see such a token
// become NaN: 0 * NaN must not reach the rows that do not see it.
//
// Roofline: 2 Nkv L D bytes of K and V (half, and 8 bytes a token and head, for INT8) for each
// sequence and step; 4 R L D operations for R packed rows, of which the MMA pads R to 16. Decode is
// bound by bandwidth up to 16 packed rows. INT8 rows are D + 4 bytes and so not 16-byte aligned:
// 4-byte copies. Measured fraction: not measured, no GPU yet.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kWarps = kAttentionWarps;
constexpr int kThreads = kAttentionThreads;
constexpr int kRows = kRowBlock;

template <typename Cache, int kDim>
struct SharedStorage : TileStorage<Cache, kDim, kRows> {
  using TileStorage<Cache, kDim, kRows>::kParts;

  alignas(16) float scores[kRows][kTile + 4];
  alignas(16) uint32_t weights[kParts][kRows][(kTile + 8) / 2];  // pairs
  float shrink[kRows];
  FoldFactors fold[kRows];
  SoftmaxState total[kRows];  // at the end
};

// S of this warp's 16 keys, masked, in units of log2.
template <int kDim, typename Storage>
RA_DEVICE void Score(const AttentionParams& params, const Tile<kDim>& k, Storage& shared) {
  const int first_key = WarpIndex() * 16;
  float sums[2][4] = {};
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step) {
    if (step * 16 >= params.head_dim) break;
    uint32_t keys[4];
    LoadMatrix4(keys,
                &k.rows[first_key + Lane() / 16 * 8 + Lane() % 8][step * 8 + Lane() / 8 % 2 * 4]);
    const uint32_t b[2][2] = {{keys[0], keys[1]}, {keys[2], keys[3]}};
    uint32_t a[4];
    LoadMatrix4(a, &shared.q[Lane() % 16][step * 16 + Lane() / 16 * 8]);
    Mma<typename Storage::Operand>(sums[0], a, b[0]);
    Mma<typename Storage::Operand>(sums[1], a, b[1]);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = Lane() / 4 + i % 4 / 2 * 8;
    const int key = first_key + i / 4 * 8 + Lane() % 4 * 2 + i % 2;
    float scale = params.scale_log2e;
    if constexpr (Storage::kIsInt8) scale *= shared.kv.k_scales[key];
    shared.scores[row][key] = sums[i / 4][i % 4] * scale;
  }
}

// Stores the weights of a row's keys 2 * lane and 2 * lane + 1.
template <typename Storage>
RA_DEVICE void StoreWeights(Storage& shared, int row, float w0, float w1) {
  const uint32_t pair = Pack<typename Storage::Operand>(w0, w1);
  shared.weights[0][row][Lane()] = pair;
  if constexpr (Storage::kParts == 2) {
    static_assert(!kIsF16<typename Storage::Operand>, "the rest of a BF16");
    shared.weights[1][row][Lane()] = PackBF16(w0 - LowBF16(pair), w1 - HighBF16(pair));
  }
}

// A row's running state, in every lane of the warp that owns it.
struct RowState {
  SoftmaxState chunk;
  SoftmaxState total;
};

// Rows warp, warp + 4, ...: weights of a tile, and how the rest shrinks.
template <typename Storage>
RA_DEVICE void Soften(const AttentionParams& params, const Work& work, int tile, bool is_mixed,
                      bool ends_chunk, RowState (&states)[kRows / kWarps], Storage& shared) {
  constexpr bool kIsInt8 = Storage::kIsInt8;
#pragma unroll
  for (int i = 0; i < kRows / kWarps; ++i) {
    const int row = WarpIndex() + i * kWarps;
    RowState& state = states[i];
    const int packed = work.first_row + row;
    const Visible visible = packed < work.num_rows
                                ? VisibleAt(work.Position(packed / params.group), params.window)
                                : Visible{0, 0};
    float s[2];
    bool sees[2];
    bool is_bad = false;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int key = 2 * Lane() + j;
      sees[j] = visible.Has(tile * kTile + key);
      s[j] = sees[j] ? shared.scores[row][key] : -INFINITY;
      if (!kIsInt8 && is_mixed) is_bad = is_bad || (sees[j] && shared.is_bad[key]);
    }
    const float largest = WarpReduce(MaxOp()(s[0], MaxOp()(s[1], -INFINITY)), MaxOp());
    const float highest = MaxOp()(largest, state.chunk.highest);
    const float base = highest == -INFINITY ? 0.0f : highest;
    float weights[2] = {is_bad ? NAN : Exp2Approx(s[0] - base), Exp2Approx(s[1] - base)};
    const float shrink = Ratio(state.chunk.highest, highest);
    const float sum = WarpReduce(weights[0] + weights[1], AddOp());
    state.chunk = {highest, Fma(state.chunk.sum, shrink, sum)};
    if constexpr (kIsInt8) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {  // what is masked stays 0 whatever its scale is
        if (sees[j]) weights[j] *= shared.kv.v_scales[2 * Lane() + j];
      }
    }
    StoreWeights(shared, row, weights[0], weights[1]);
    if (Lane() == 0) shared.shrink[row] = shrink;
    if (!ends_chunk) continue;
    const FoldFactors factors = Fold(state.total, state.chunk);
    if (Lane() == 0) {
      shared.fold[row] = factors;
      shared.total[row] = state.total;
    }
    state.chunk = {};
  }
}

// This warp's columns of O: 16-column blocks warp, warp + 4, ...
template <int kDim>
struct Output {
  static constexpr int kColumns = kDim / 16 / kWarps;
  static_assert(kColumns * 16 * kWarps == kDim, "each warp has as many columns");
  float sums[kColumns][2][4];

  // Calls visit(row, column, the sum) for each element this lane holds.
  template <typename Visit>
  RA_DEVICE void ForEach(Visit visit) {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        visit(Lane() / 4 + i % 4 / 2 * 8,
              (WarpIndex() + c * kWarps) * 16 + i / 4 * 8 + Lane() % 4 * 2 + i % 2,
              sums[c][i / 4][i % 4]);
      }
    }
  }
};

// O = O shrink + P V.
template <int kDim, typename Storage>
RA_DEVICE void Weigh(const AttentionParams& params, const Tile<kDim>& v, Output<kDim>& out,
                     Storage& shared) {
  out.ForEach([&](int row, int /*column*/, float& sum) { sum *= shared.shrink[row]; });
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step) {
#pragma unroll
    for (int c = 0; c < Output<kDim>::kColumns; ++c) {
      const int column = (WarpIndex() + c * kWarps) * 16;
      if (column >= params.head_dim) continue;
      uint32_t values[4];
      LoadMatrix4Transposed(
          values,
          &v.rows[step * 16 + Lane() / 8 % 2 * 8 + Lane() % 8][column / 2 + Lane() / 16 * 4]);
      const uint32_t b[2][2] = {{values[0], values[1]}, {values[2], values[3]}};
#pragma unroll
      for (int part = 0; part < Storage::kParts; ++part) {
        uint32_t a[4];
        LoadMatrix4(a, &shared.weights[part][Lane() % 16][step * 8 + Lane() / 16 * 4]);
        Mma<typename Storage::Operand>(out.sums[c][0], a, b[0]);
        Mma<typename Storage::Operand>(out.sums[c][1], a, b[1]);
      }
    }
  }
}

// total = total a + chunk b; the chunk starts anew.
template <int kDim, typename Storage>
RA_DEVICE void FoldChunk(Output<kDim>& total, Output<kDim>& chunk, const Storage& shared) {
#pragma unroll
  for (int c = 0; c < Output<kDim>::kColumns; ++c) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const FoldFactors factors = shared.fold[Lane() / 4 + i % 4 / 2 * 8];
      float& sum = chunk.sums[c][i / 4][i % 4];
      float& of_total = total.sums[c][i / 4][i % 4];
      of_total = FoldOutput(of_total, factors, sum);
      sum = 0;
    }
  }
}

// The chunk as a partial result; MergeKernel folds it.
template <int kDim, typename Storage>
RA_DEVICE void StorePartial(const AttentionParams& params, int partial, Output<kDim>& total,
                            const Storage& shared) {
  float* to = params.partials + (int64_t{partial} * params.num_kv_heads + BlockY()) * kRowBlock *
                                    (params.head_dim + 2);
  total.ForEach([&](int row, int column, float& sum) {
    if (column < params.head_dim) to[row * params.head_dim + column] = sum;
  });
  auto* states = reinterpret_cast<SoftmaxState*>(to + kRowBlock * params.head_dim);
  if (ThreadX() < kRowBlock) states[ThreadX()] = shared.total[ThreadX()];
}

template <int kDim, typename Storage>
RA_DEVICE void StoreRows(const AttentionParams& params, const Work& work, Output<kDim>& total,
                         const Storage& shared) {
  total.ForEach([&](int row, int column, float& sum) {
    const int packed = work.first_row + row;
    if (packed >= work.num_rows || column >= params.head_dim) return;
    StoreOutput(params, work.first_query + packed / params.group,
                work.kv_head * params.group + packed % params.group, column,
                sum / shared.total[row].sum);
  });
}

template <typename Cache, int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    DecodeAttentionKernel(const __grid_constant__ AttentionParams params) {
  using Storage = SharedStorage<Cache, kDim>;
  constexpr bool kIsInt8 = Storage::kIsInt8;
  auto& shared = *DynamicShared<Storage>();
  const AttentionItem item = params.items[BlockX()];
  if (item.sequence < 0) return;
  const Work work = MakeWork<kRows>(params, item);
  LoadQuery<Storage, kDim, kRows>(params, work, shared);
  if (ThreadX() < kRows) shared.total[ThreadX()] = {};  // of an item that sees nothing
  FindRows(params, work, work.begin_tile, shared);
  FindRows(params, work, work.begin_tile + 1, shared);
  SyncThreads();
  LoadTile<Cache, kDim>(params, work, work.begin_tile, shared);
  Output<kDim> chunk = {};
  Output<kDim> total = {};
  RowState states[kRows / kWarps];
  const int first_position = work.Position(work.first_row / params.group);
#pragma unroll 1
  for (int tile = work.begin_tile; tile < work.end_tile; ++tile) {
    const int stage = kIsInt8 ? 0 : tile % kStages;
    const bool ends_chunk = (tile + 1) % kChunkTiles == 0 || tile + 1 == work.end_tile;
    // Whether a row may not see a token of the tile.
    const bool is_mixed = (tile + 1) * kTile - 1 > first_position || params.window > 0;
    WaitAsync<0>();
    SyncThreads();  // the tile is there, and nobody reads the one before it
    LoadTile<Cache, kDim>(params, work, tile + 1, shared);
    if constexpr (kIsInt8) {
      WidenTile<kDim>(params, tile, shared);
      SyncThreads();
    } else {
      if (is_mixed) CleanValues<Cache>(params, shared.kv.v[stage], shared.is_bad);
    }
    Score(params, shared.kv.k[stage], shared);
    SyncThreads();
    FindRows(params, work, tile + 2, shared);
    Soften(params, work, tile, is_mixed, ends_chunk, states, shared);
    SyncThreads();
    Weigh(params, shared.kv.v[stage], chunk, shared);
    if (ends_chunk) FoldChunk(total, chunk, shared);
  }
  WaitAsync<0>();
  if (item.partial >= 0) return StorePartial(params, item.partial, total, shared);
  StoreRows(params, work, total, shared);
}

}  // namespace

bool HasTensorAttention(DType cache, int head_dim) {
  return cache != DType::kF32 && head_dim % 16 == 0 && head_dim <= 128;
}

void AllowDecodeAttention() {
  ForAllTiles([](auto type, auto columns) {
    using Storage = SharedStorage<decltype(type), columns.value>;
    static_assert(sizeof(Storage) <= 99 * 1024, "a block of sm_89 has no more");
    AllowSharedMemory(DecodeAttentionKernel<decltype(type), columns.value>, sizeof(Storage));
  });
}

void DecodeAttention(AttentionParams params, DType cache, const CudaAttentionPlan& plan,
                     Stream stream) {
  if (plan.num_narrow() == 0) return;
  params.items = plan.narrow();
  WithTiles(cache, params.head_dim, [&](auto type, auto columns) {
    using Storage = SharedStorage<decltype(type), columns.value>;
    Launch(DecodeAttentionKernel<decltype(type), columns.value>,
           {.x = plan.num_narrow(), .y = params.num_kv_heads}, {.x = kThreads}, sizeof(Storage),
           stream, params);
  });
}

}  // namespace runahead::RA_CUDA
