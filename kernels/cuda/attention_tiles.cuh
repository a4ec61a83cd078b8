// What a block of the tensor-core attention works on, and how key tiles reach shared memory
// (decode_attention.cu and prefill_attention.cu have the partitions).
//
//   BF16, F16   K and V as they lie, 16 bytes a copy, two stages
//   INT8        rows of D + 4 bytes as they lie, 4 bytes a copy, two stages; then widened to BF16,
//               which is exact
#pragma once

#include <type_traits>

#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/half_type.cuh"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/bits.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/primitives/warp.h"

namespace runahead::RA_CUDA {

inline constexpr int kAttentionWarps = 4;
inline constexpr int kAttentionThreads = kAttentionWarps * kWarp;
inline constexpr int kTile = kKeyTileTokens;
inline constexpr int kStages = 2;

// Pairs of Operand (below); 16 bytes of padding a row: ldmatrix then meets every bank once.
template <int kDim>
struct Tile {
  uint32_t rows[kTile][(kDim + 8) / 2];
};

// A tile of an INT8 cache as it lies there: rows of E = D + 4 bytes.
template <int kDim>
struct RawTile {
  uint32_t rows[kTile][kDim / 4 + 1];
};

// What a tile needs: stages as copied, and K and V as multiplied.
template <typename Cache, int kDim>
struct KvStorage {
  Tile<kDim> k[kStages];
  Tile<kDim> v[kStages];
};
template <int kDim>
struct KvStorage<int8_t, kDim> {
  RawTile<kDim> raw_k[kStages];
  RawTile<kDim> raw_v[kStages];
  Tile<kDim> k[1];
  Tile<kDim> v[1];
  float k_scales[kTile];
  float v_scales[kTile];
};

// What every kernel of key tiles keeps in shared memory.
template <typename Cache, int kDim, int kRows>
struct TileStorage {
  static constexpr bool kIsInt8 = sizeof(Cache) == 1;
  using Operand = std::conditional_t<kIsInt8, BFloat16, Cache>;  // what tensor cores multiply
  static constexpr int kParts = kIsInt8 ? 2 : 1;                 // operands a weight is the sum of

  alignas(16) Operand q[kRows][kDim + 8];
  alignas(16) KvStorage<Cache, kDim> kv;
  int64_t cache_rows[kStages][kTile];  // of the tokens of two tiles; -1: beyond the sequence
  bool is_bad[kTile];                  // V is not finite here, and not every row sees the token
};

// What a block works on.
struct Work {
  int first_row;    // packed
  int num_rows;     // of the sequence, packed
  int first_query;  // row of q that is the sequence's first
  int num_queries;
  int context;
  int kv_head;
  const int32_t* table;
  int begin_tile;
  int end_tile;

  RA_DEVICE int Position(int query) const { return context - num_queries + query; }
};

template <int kRows>
RA_DEVICE Work MakeWork(const AttentionParams& params, const AttentionItem& item) {
  Work work;
  const int s = item.sequence;
  work.first_row = item.first_row;
  work.first_query = params.row_offsets[s];
  work.num_queries = params.row_offsets[s + 1] - work.first_query;
  work.num_rows = work.num_queries * params.group;
  work.context = params.context_lens[s];
  work.kv_head = BlockY();
  work.table = params.block_tables + int64_t{s} * *params.table_stride;
  const int end_row =
      item.first_row + kRows < work.num_rows ? item.first_row + kRows : work.num_rows;
  const int first = work.Position(item.first_row / params.group);
  const int last = work.Position((end_row - 1) / params.group);
  const int begin = VisibleAt(first, params.window).begin / kTile;
  const int end = last / kTile + 1;
  const int begin_item = item.begin_chunk * kChunkTiles;
  const int end_item = item.end_chunk * kChunkTiles;
  work.begin_tile = begin > begin_item ? begin : begin_item;
  work.end_tile = end < end_item ? end : end_item;
  return work;
}

template <typename Storage, int kDim, int kRows>
RA_DEVICE void LoadQuery(const AttentionParams& params, const Work& work, Storage& shared) {
  for (int i = ThreadX(); i < kRows * kDim; i += kAttentionThreads) {
    const int row = i / kDim;
    const int column = i % kDim;
    const int packed = work.first_row + row;
    float value = 0;
    if (packed < work.num_rows && column < params.head_dim) {
      value = QueryAt(params, work.first_query + packed / params.group,
                      work.kv_head * params.group + packed % params.group, column);
    }
    shared.q[row][column] = RoundTo<typename Storage::Operand>(value);
  }
}

// Finds where the tokens of tile `tile` lie; needed a barrier later.
template <typename Storage>
RA_DEVICE void FindRows(const AttentionParams& params, const Work& work, int tile,
                        Storage& shared) {
  if (ThreadX() >= kTile || tile >= work.end_tile) return;
  const int position = tile * kTile + ThreadX();
  shared.cache_rows[tile % kStages][ThreadX()] =
      position < work.context ? CacheRow(params, work.table, work.kv_head, position) : -1;
}

// Starts the copies of a tile; one group, empty beyond the last tile.
template <typename Cache, int kDim, typename Storage>
RA_DEVICE void LoadTile(const AttentionParams& params, const Work& work, int tile,
                        Storage& shared) {
  constexpr bool kIsInt8 = sizeof(Cache) == 1;
  using Unit = std::conditional_t<kIsInt8, uint32_t, Vec16>;
  const int stage = tile % kStages;
  const int units =
      params.row_elements * static_cast<int>(sizeof(Cache)) / static_cast<int>(sizeof(Unit));
  const auto* k = static_cast<const Unit*>(params.k);
  const auto* v = static_cast<const Unit*>(params.v);
  for (int i = ThreadX(); tile < work.end_tile && i < kTile * units; i += kAttentionThreads) {
    const int token = i / units;
    const int unit = i % units;
    const int64_t row = shared.cache_rows[stage][token];
    const int64_t at = (row < 0 ? 0 : row * units) + unit;
    if constexpr (kIsInt8) {
      if (row < 0) continue;  // its scale is never read: the row is masked
      CopyAsync4(&shared.kv.raw_k[stage].rows[token][unit], k + at);
      CopyAsync4(&shared.kv.raw_v[stage].rows[token][unit], v + at);
    } else {
      CopyAsync16OrZero(&shared.kv.k[stage].rows[token][unit * 4], k + at, row >= 0);
      CopyAsync16OrZero(&shared.kv.v[stage].rows[token][unit * 4], v + at, row >= 0);
    }
  }
  CommitAsync();
}

// Four signed bytes as BF16, exactly: byte + 128 becomes the low byte of 2^23 + byte + 128.
RA_DEVICE void WidenBytes(uint32_t bytes, uint32_t* pairs) {
  const uint32_t biased = bytes ^ 0x80808080u;
  float values[4];
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    values[i] = BitsToFloat(PermuteBytes(biased, 0x4b000000u, 0x7440u + i)) - 8388736.0f;
  }
  pairs[0] = PackBF16(values[0], values[1]);
  pairs[1] = PackBF16(values[2], values[3]);
}

// An INT8 tile as BF16, and its scales; zeros beyond the sequence.
template <int kDim, typename Storage>
RA_DEVICE void WidenTile(const AttentionParams& params, int tile, Storage& shared) {
  const int stage = tile % kStages;
  const int words = params.head_dim / 4;
  for (int i = ThreadX(); i < kTile * words; i += kAttentionThreads) {
    const int token = i / words;
    const int word = i % words;
    const bool exists = shared.cache_rows[stage][token] >= 0;
    const uint32_t k = exists ? shared.kv.raw_k[stage].rows[token][word] : 0;
    const uint32_t v = exists ? shared.kv.raw_v[stage].rows[token][word] : 0;
    WidenBytes(k, &shared.kv.k[0].rows[token][word * 2]);
    WidenBytes(v, &shared.kv.v[0].rows[token][word * 2]);
    if (word != 0) continue;
    shared.kv.k_scales[token] = exists ? BitsToFloat(shared.kv.raw_k[stage].rows[token][words]) : 0;
    shared.kv.v_scales[token] = exists ? BitsToFloat(shared.kv.raw_v[stage].rows[token][words]) : 0;
  }
}

// Takes out of V what is not finite, and remembers where.
template <typename Cache, int kDim>
RA_DEVICE void CleanValues(const AttentionParams& params, Tile<kDim>& v, bool (&is_bad)[kTile]) {
  // Two threads a token, each half of its columns; the first one says what both found.
  static_assert(kAttentionThreads == 2 * kTile, "two threads a token");
  const int token = ThreadX() / 2;
  const int half = params.head_dim / 4;  // in pairs
  const int begin = ThreadX() % 2 * half;
  bool bad = false;
  for (int i = begin; i < begin + half; ++i) {
    const uint32_t bits = v.rows[token][i];
    constexpr uint32_t kLow = HalfType<Cache>::kExponent;
    constexpr uint32_t kHigh = kLow << 16;
    const bool low = (bits & kLow) == kLow;
    const bool high = (bits & kHigh) == kHigh;
    if (!low && !high) continue;
    v.rows[token][i] = bits & (low ? 0xffff0000u : 0xffffffffu) & (high ? 0xffffu : 0xffffffffu);
    bad = true;
  }
  const int others = ShuffleXor(bad ? 1 : 0, 1);
  bad = bad || others != 0;
  if (ThreadX() % 2 == 0) is_bad[token] = bad;
}

// Calls f with a value of the type that a cache holds, and with the columns of its tiles.
template <typename F>
void WithTiles(DType cache, int head_dim, F f) {
  const auto with = [&]<typename Cache>(Cache) {
    head_dim <= 64 ? f(Cache(), std::integral_constant<int, 64>())
                   : f(Cache(), std::integral_constant<int, 128>());
  };
  if (cache == DType::kI8) return with(int8_t());
  WithHalf(cache, with);
}

// The same of all there are.
template <typename F>
void ForAllTiles(F f) {
  for (const DType cache : {DType::kBF16, DType::kF16, DType::kI8}) {
    for (const int head_dim : {64, 128}) WithTiles(cache, head_dim, f);
  }
}

}  // namespace runahead::RA_CUDA
