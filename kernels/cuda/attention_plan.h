// How a step's attention is cut into blocks of work, decided on the host. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/device_runtime.h"
#include "kernels/cuda/span_staging.h"

namespace runahead::RA_CUDA {

// Queries of a sequence and KV head are packed: row i * G + g is query i of the group's head g, so
// that the G heads that share K and V, and all drafts to verify, are rows of one matrix:
//
//   packed rows   0 .. 15 | 16 .. 31 | 32 ...         blocks of 16 rows are the MMA's M
//
// An item is one such block (narrow), or four (wide) where a sequence has more rows and the device
// is full without splitting it.
//
// Keys are reduced in tiles of kKeyTileTokens and chunks of kChunkTiles tiles, counted from
// position 0; chunks are folded in ascending order by one formula. So it is for the plan to say who
// computes a chunk, and no result changes with it.
inline constexpr int kRowBlock = 16;
inline constexpr int kWideRows = 64;
inline constexpr int kChunkTiles = 4;
inline constexpr int kChunkTokens = kChunkTiles * kKeyTileTokens;

// One block of threads, for each KV head: packed rows [first_row, first_row + rows of the kernel)
// over the chunks [begin_chunk, end_chunk).
struct AttentionItem {
  int32_t sequence = 0;  // -1: nothing, of a list that was padded
  int32_t first_row = 0;
  int32_t begin_chunk = 0;
  int32_t end_chunk = 0;
  int32_t partial = -1;  // where its chunks' partial results go, or -1: it folds them and stores
};

// Packed rows whose chunks were computed apart: partials [partial, partial + num_chunks).
struct MergeItem {
  int32_t sequence = 0;
  int32_t first_row = 0;
  int32_t partial = 0;
  int32_t num_chunks = 0;  // 0: nothing
};

// On the device, in words of 4 bytes:
//
//   | table stride | narrow | wide | merges | row_offsets | context_lens | row_sequences | tables |
//
// Of a step that is padded to a bucket each list but the tables is as long as the bucket says, so
// that addresses and grids follow from the bucket and from the lists' lengths, which are rounded up
// to powers of two. A graph captured under one plan then reads the next.
class CudaAttentionPlan final : public AttentionPlan {
 public:
  CudaAttentionPlan(const AttentionLimits& limits, DeviceRuntime& runtime);

  // Copies the step's shape to the device, through `spans` and in stream order. Rows and contexts
  // are within the limits.
  void Plan(const BatchShape& shape, DeviceRuntime& runtime, SpanStaging& spans);
  uint64_t graph_key() const override;

  int num_rows() const { return num_rows_; }  // padding included
  int num_sequences() const { return num_sequences_; }
  int num_narrow() const { return num_narrow_; }
  int num_wide() const { return num_wide_; }
  int num_merges() const { return num_merges_; }
  const AttentionLimits& limits() const { return limits_; }

  // All on the device.
  const int32_t* table_stride() const { return At<int32_t>(0); }           // one
  const int32_t* row_offsets() const { return At<int32_t>(offsets_at_); }  // [S + 1]
  const int32_t* context_lens() const { return At<int32_t>(lens_at_); }    // [S]
  const int32_t* row_sequences() const { return At<int32_t>(rows_at_); }   // [T], -1: padding
  const int32_t* block_tables() const { return At<int32_t>(tables_at_); }  // [S, table_stride]
  const AttentionItem* narrow() const {
    return At<AttentionItem>(narrow_at_);
  }                                                                          // of kRowBlock rows
  const AttentionItem* wide() const { return At<AttentionItem>(wide_at_); }  // of kWideRows rows
  const MergeItem* merges() const { return At<MergeItem>(merges_at_); }
  // [partial, Nkv]: 16 rows of D sums, then 16 of (largest score, sum of weights)
  float* partials() const {
    return beside_ != nullptr ? beside_->partials() : static_cast<float*>(partials_.data());
  }

 private:
  template <typename T>
  T* At(int64_t words) const {
    return reinterpret_cast<T*>(static_cast<int32_t*>(device_.data()) + words);
  }
  void AddSequence(const BatchShape& shape, int s, bool may_split);
  bool Split(int s, int first_row, int begin, int end);
  // Where in the words `values` then lie, followed by room for `count` in all.
  template <typename T>
  int64_t Append(std::span<const T> values, size_t count);
  void PadItems();
  void Write(const BatchShape& shape);

  AttentionLimits limits_;
  const CudaAttentionPlan* beside_;  // whose partials these are, or null
  int group_ = 1;                    // query heads a KV head
  int max_partials_ = 0;             // a KV head
  int wanted_blocks_ = 0;            // that fill the device
  int num_partials_ = 0;             // of this step
  uint64_t num_moves_ = 0;           // of device_: no older graph may read it
  DeviceBuffer device_;
  DeviceBuffer partials_;

  int num_rows_ = 0;
  int num_sequences_ = 0;
  int num_narrow_ = 0;
  int num_wide_ = 0;
  int num_merges_ = 0;
  int64_t offsets_at_ = 0;
  int64_t lens_at_ = 0;
  int64_t rows_at_ = 0;
  int64_t tables_at_ = 0;
  int64_t narrow_at_ = 0;
  int64_t wide_at_ = 0;
  int64_t merges_at_ = 0;
  std::vector<AttentionItem> narrow_items_;
  std::vector<AttentionItem> wide_items_;
  std::vector<MergeItem> merge_items_;
  std::vector<int32_t> row_sequences_;
  std::vector<int32_t> words_;  // what goes to the device
};

}  // namespace runahead::RA_CUDA
