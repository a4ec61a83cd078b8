// Attention over the paged cache for sequences of many rows (prefill, long verifications) on tensor
// cores: the caches and head sizes of decode_attention.cu, and its bits.
//
// A block of 4 warps has one KV head and 64 packed rows (attention_plan.h), each warp 16 of them
// for all keys and columns, so that scores, weights and sums never leave its registers. K and V of
// the next tile of 64 keys are on their way (cp.async) while this one is reduced; one barrier a
// tile:
//
//            K tile [64, D]        V tile [64, D]
//   warp 0   S [16, 64] -> P [16, 64] -> O [16, D]       P is S's registers, rounded: an
//   accumulator's warp 1   S [16, 64] -> P [16, 64] -> O [16, D]       layout is that of an A
//   operand warp 2   ...
//
//   Score      S = Q K^T, masked where a row may not see a key, in units of log2
//   Soften     largest, weights P, their sum, how much the rows so far shrink
//   Weigh      O = O shrink + P V
//   FoldChunk  after kChunkTiles tiles: total = total a + O b (attention_rows.cuh)
//
// Order. Sums over D and over keys go through the tensor core in the same steps as in
// decode_attention.cu, and the weights of a tile are added in the order of its butterfly: there
// lane 4 j + t holds keys 8 j + 2 t and the next, which is what lane t of a quad holds here in tile
// j of S. So a row has the same bits whichever kernel runs it; rounding and masking are the same
// too.
//
// Roofline: 4 D operations a row and key, half of them masked in a prompt's own tiles. A block
// reads K and V from L2 once per 64 rows (64 operations a byte, BF16), from shared memory once per
// 16: 128 D bytes for 2 * 64 * 16 D products, which bounds it at about half of sm_90's mma.sync
// rate. 16-row warps because sums and totals of D = 128 fill 128 registers. Not measured: no GPU
// yet.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/primitives/launch.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = kAttentionThreads;
constexpr int kRows = kWideRows;
constexpr int kKeyTiles = kTile / 8;  // of S: 8 keys each
static_assert(kRows == kAttentionWarps * kRowBlock, "a warp has a block of rows");

template <typename Cache, int kDim>
using SharedStorage = TileStorage<Cache, kDim, kRows>;

// What a lane holds of 16 rows: elements 0 and 1 of a tile of 8 columns are row lane / 4, columns
// 2 (lane % 4) and the next; elements 2 and 3 are eight rows below.
using Scores = float[kKeyTiles][4];
template <int kDim>
struct Output {
  float sums[kDim / 8][4];
};

// One of a lane's two rows.
struct Row {
  int packed;  // of the sequence; beyond its rows: sees nothing
  Visible visible;
  SoftmaxState chunk;
  SoftmaxState total;
};

RA_DEVICE Row MakeRow(const AttentionParams& params, const Work& work, int half) {
  Row row = {};
  row.packed = work.first_row + WarpIndex() * kRowBlock + half * 8 + Lane() / 4;
  if (row.packed < work.num_rows) {
    row.visible = VisibleAt(work.Position(row.packed / params.group), params.window);
  }
  return row;
}

// The key of element `i` of tile j of S, within the key tile.
RA_DEVICE int KeyOf(int j, int i) { return j * 8 + Lane() % 4 * 2 + i % 2; }

template <typename Cache, int kDim>
RA_DEVICE void Score(const AttentionParams& params, const SharedStorage<Cache, kDim>& shared,
                     const Tile<kDim>& k, Scores& scores) {
  using Storage = SharedStorage<Cache, kDim>;
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[j][i] = 0;
  }
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step) {
    if (step * 16 >= params.head_dim) break;
    uint32_t a[4];
    LoadMatrix4(a, &shared.q[WarpIndex() * kRowBlock + Lane() % 16][step * 16 + Lane() / 16 * 8]);
#pragma unroll
    for (int j = 0; j < kKeyTiles; j += 2) {
      uint32_t keys[4];
      LoadMatrix4(keys,
                  &k.rows[j * 8 + Lane() / 16 * 8 + Lane() % 8][step * 8 + Lane() / 8 % 2 * 4]);
      const uint32_t b[2][2] = {{keys[0], keys[1]}, {keys[2], keys[3]}};
      Mma<typename Storage::Operand>(scores[j], a, b[0]);
      Mma<typename Storage::Operand>(scores[j + 1], a, b[1]);
    }
  }
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float scale = params.scale_log2e;
      if constexpr (Storage::kIsInt8) scale *= shared.kv.k_scales[KeyOf(j, i)];
      scores[j][i] *= scale;
    }
  }
}

// A value of the lanes that share a row, to each of them.
template <typename Op>
RA_DEVICE float QuadReduce(float value, Op op) {
  value = op(value, ShuffleXor(value, 2));
  return op(value, ShuffleXor(value, 1));
}

// The sum of a row's weights, in the order of WarpReduce over pairs of keys.
RA_DEVICE float SumOfRow(const Scores& weights, int first) {
  float pairs[kKeyTiles];
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j) pairs[j] = weights[j][first] + weights[j][first + 1];
#pragma unroll
  for (int step = kKeyTiles / 2; step > 0; step /= 2) {
#pragma unroll
    for (int j = 0; j < step; ++j) pairs[j] += pairs[j + step];
  }
  return QuadReduce(pairs[0], AddOp());
}

// Scores become weights; returns how much what the row has so far shrinks.
template <typename Cache, int kDim>
RA_DEVICE float SoftenRow(const SharedStorage<Cache, kDim>& shared, int tile, bool is_mixed,
                          int half, Row& row, Scores& scores) {
  constexpr bool kIsInt8 = SharedStorage<Cache, kDim>::kIsInt8;
  float largest = -INFINITY;
  bool is_bad = false;
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; ++i) {
      if (is_mixed) {
        const bool sees = row.visible.Has(tile * kTile + KeyOf(j, i));
        if (!sees) scores[j][i] = -INFINITY;
        if (!kIsInt8) is_bad = is_bad || (sees && shared.is_bad[KeyOf(j, i)]);
      }
      largest = MaxOp()(scores[j][i], largest);
    }
  }
  largest = QuadReduce(largest, MaxOp());
  const float highest = MaxOp()(largest, row.chunk.highest);
  const float base = highest == -INFINITY ? 0.0f : highest;
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; ++i) scores[j][i] = Exp2Approx(scores[j][i] - base);
  }
  if (is_bad) scores[0][2 * half] = NAN;  // and so the row
  const float shrink = Ratio(row.chunk.highest, highest);
  row.chunk = {highest, Fma(row.chunk.sum, shrink, SumOfRow(scores, 2 * half))};
  if constexpr (kIsInt8) {
#pragma unroll
    for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        const int key = KeyOf(j, i);  // what is masked stays 0 whatever its scale is
        const bool sees = !is_mixed || row.visible.Has(tile * kTile + key);
        if (sees) scores[j][i] *= shared.kv.v_scales[key];
      }
    }
  }
  return shrink;
}

// O += P V.
template <typename Cache, int kDim>
RA_DEVICE void Weigh(const AttentionParams& params, const Tile<kDim>& v, const Scores& weights,
                     Output<kDim>& out) {
  using Storage = SharedStorage<Cache, kDim>;
  using Operand = typename Storage::Operand;
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step) {
    uint32_t a[Storage::kParts][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {  // rows 0 and 8 below, then the next eight keys
      const float* pair = &weights[2 * step + i / 2][i % 2 * 2];
      a[0][i] = Pack<Operand>(pair[0], pair[1]);
      if constexpr (Storage::kParts == 2) {
        a[1][i] = Pack<Operand>(pair[0] - LowBF16(a[0][i]), pair[1] - HighBF16(a[0][i]));
      }
    }
#pragma unroll
    for (int c = 0; c < kDim / 8; c += 2) {
      if (c * 8 >= params.head_dim) break;
      uint32_t values[4];
      LoadMatrix4Transposed(
          values, &v.rows[step * 16 + Lane() / 8 % 2 * 8 + Lane() % 8][c * 4 + Lane() / 16 * 4]);
      const uint32_t b[2][2] = {{values[0], values[1]}, {values[2], values[3]}};
#pragma unroll
      for (int part = 0; part < Storage::kParts; ++part) {
        Mma<Operand>(out.sums[c], a[part], b[0]);
        Mma<Operand>(out.sums[c + 1], a[part], b[1]);
      }
    }
  }
}

template <int kDim>
RA_DEVICE void Shrink(Output<kDim>& out, const float (&by)[2]) {
#pragma unroll
  for (int c = 0; c < kDim / 8; ++c) {
#pragma unroll
    for (int i = 0; i < 4; ++i) out.sums[c][i] *= by[i / 2];
  }
}

// total = total a + chunk b; the chunk starts anew.
template <int kDim>
RA_DEVICE void FoldChunk(Row (&rows)[2], Output<kDim>& total, Output<kDim>& chunk) {
  FoldFactors factors[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    factors[half] = Fold(rows[half].total, rows[half].chunk);
    rows[half].chunk = {};
  }
#pragma unroll
  for (int c = 0; c < kDim / 8; ++c) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      total.sums[c][i] = FoldOutput(total.sums[c][i], factors[i / 2], chunk.sums[c][i]);
      chunk.sums[c][i] = 0;
    }
  }
}

template <int kDim>
RA_DEVICE void StoreRows(const AttentionParams& params, const Work& work, const Row (&rows)[2],
                         const Output<kDim>& total) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Row& row = rows[half];
    if (row.packed >= work.num_rows) continue;
#pragma unroll
    for (int c = 0; c < kDim / 8; ++c) {
      if (c * 8 >= params.head_dim) break;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        StoreOutput(params, work.first_query + row.packed / params.group,
                    work.kv_head * params.group + row.packed % params.group,
                    c * 8 + Lane() % 4 * 2 + i, total.sums[c][2 * half + i] / row.total.sum);
      }
    }
  }
}

template <typename Cache, int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    PrefillAttentionKernel(const __grid_constant__ AttentionParams params) {
  using Storage = SharedStorage<Cache, kDim>;
  auto& shared = *DynamicShared<Storage>();
  const AttentionItem item = params.items[BlockX()];
  if (item.sequence < 0) return;
  const Work work = MakeWork<kRows>(params, item);
  LoadQuery<Storage, kDim, kRows>(params, work, shared);
  FindRows(params, work, work.begin_tile, shared);
  FindRows(params, work, work.begin_tile + 1, shared);
  SyncThreads();
  LoadTile<Cache, kDim>(params, work, work.begin_tile, shared);
  Row rows[2] = {MakeRow(params, work, 0), MakeRow(params, work, 1)};
  Output<kDim> chunk = {};
  Output<kDim> total = {};
  const bool has_rows = work.first_row + WarpIndex() * kRowBlock < work.num_rows;
  const int first_position = work.Position(work.first_row / params.group);
#pragma unroll 1
  for (int tile = work.begin_tile; tile < work.end_tile; ++tile) {
    const int stage = Storage::kIsInt8 ? 0 : tile % kStages;
    // Whether a row may not see a token of the tile.
    const bool is_mixed = (tile + 1) * kTile - 1 > first_position || params.window > 0;
    WaitAsync<0>();
    SyncThreads();  // the tile is there, and nobody reads the one before it
    LoadTile<Cache, kDim>(params, work, tile + 1, shared);
    if constexpr (Storage::kIsInt8) {
      WidenTile<kDim>(params, tile, shared);
      SyncThreads();
    } else if (is_mixed) {
      CleanValues<Cache>(params, shared.kv.v[stage], shared.is_bad);
      SyncThreads();
    }
    FindRows(params, work, tile + 2, shared);
    if (!has_rows) continue;
    Scores scores;
    Score<Cache, kDim>(params, shared, shared.kv.k[stage], scores);
    float shrink[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      shrink[half] = SoftenRow<Cache, kDim>(shared, tile, is_mixed, half, rows[half], scores);
    }
    Shrink(chunk, shrink);
    Weigh<Cache, kDim>(params, shared.kv.v[stage], scores, chunk);
    if ((tile + 1) % kChunkTiles == 0 || tile + 1 == work.end_tile) FoldChunk(rows, total, chunk);
  }
  WaitAsync<0>();
  StoreRows(params, work, rows, total);
}

}  // namespace

void AllowPrefillAttention() {
  ForAllTiles([](auto type, auto columns) {
    using Storage = SharedStorage<decltype(type), columns.value>;
    static_assert(sizeof(Storage) <= 99 * 1024, "a block of sm_89 has no more");
    AllowSharedMemory(PrefillAttentionKernel<decltype(type), columns.value>, sizeof(Storage));
  });
}

void PrefillAttention(AttentionParams params, DType cache, const CudaAttentionPlan& plan,
                      Stream stream) {
  if (plan.num_wide() == 0) return;
  params.items = plan.wide();
  WithTiles(cache, params.head_dim, [&](auto type, auto columns) {
    using Storage = SharedStorage<decltype(type), columns.value>;
    Launch(PrefillAttentionKernel<decltype(type), columns.value>,
           {.x = plan.num_wide(), .y = params.num_kv_heads}, {.x = kThreads}, sizeof(Storage),
           stream, params);
  });
}

}  // namespace runahead::RA_CUDA
