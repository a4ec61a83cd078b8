#include "kernels/cuda/attention_plan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "kernels/check_args.h"

namespace runahead::RA_CUDA {
namespace {

int CeilDiv(int a, int b) { return (a + b - 1) / b; }

// Blocks a multiprocessor should have to keep its memory busy.
constexpr int kBlocksAMultiprocessor = 2;

// Words of the plan on the device, with cache blocks of 8 tokens and more. There are never more
// split chunks than partials.
int64_t PlanWords(const AttentionLimits& limits, int group, int max_partials) {
  const int64_t blocks =
      (int64_t{limits.max_rows} * group + int64_t{limits.max_sequences} * 2 * kRowBlock) /
      kRowBlock;
  const int64_t table = int64_t{limits.max_sequences} * CeilDiv(limits.max_context, 8);
  // Lists may be padded: the items to twice their number, sequences to the number of rows.
  const int64_t items =
      (blocks + max_partials) * (2 * int64_t{sizeof(AttentionItem)} + sizeof(MergeItem)) / 4;
  return 3 * int64_t{limits.max_rows} + 2 * int64_t{limits.max_sequences} + table + 2 * items + 64;
}

}  // namespace

CudaAttentionPlan::CudaAttentionPlan(const AttentionLimits& limits, DeviceRuntime& runtime)
    : limits_(limits),
      beside_(static_cast<const CudaAttentionPlan*>(limits.beside)),
      group_(limits.num_heads / limits.num_kv_heads) {
  const int multiprocessors = std::max(1, runtime.properties().num_multiprocessors);
  wanted_blocks_ = kBlocksAMultiprocessor * multiprocessors;
  // One long sequence can always be split; more share what keeps the device full twice over.
  max_partials_ =
      CeilDiv(limits.max_context, kChunkTokens) + CeilDiv(2 * wanted_blocks_, limits.num_kv_heads);
  device_ = runtime.Allocate(4 * PlanWords(limits, group_, max_partials_), MemoryKind::kDevice);
  if (beside_ != nullptr) {
    const AttentionLimits& other = beside_->limits_;
    RA_CHECK(max_partials_ <= beside_->max_partials_ && limits.head_dim == other.head_dim &&
                 limits.num_kv_heads == other.num_kv_heads,
             "another plan's scratch has room");
    return;
  }
  partials_ = runtime.Allocate(
      int64_t{4} * max_partials_ * limits.num_kv_heads * kRowBlock * (limits.head_dim + 2),
      MemoryKind::kDevice);
}

template <typename T>
int64_t CudaAttentionPlan::Append(std::span<const T> values, size_t count) {
  const auto at = static_cast<int64_t>(words_.size());
  words_.resize(words_.size() + std::max(count, values.size()) * sizeof(T) / 4);
  if (!values.empty()) std::memcpy(words_.data() + at, values.data(), values.size_bytes());
  return at;
}

// Lists of a graph are as long as the next power of two.
void CudaAttentionPlan::PadItems() {
  const auto pad = [](auto& items, auto nothing) {
    if (!items.empty()) items.resize(std::bit_ceil(items.size()), nothing);
  };
  pad(narrow_items_, AttentionItem{.sequence = -1});
  pad(wide_items_, AttentionItem{.sequence = -1});
  pad(merge_items_, MergeItem{});
}

uint64_t CudaAttentionPlan::graph_key() const {
  const auto log = [](int count) {
    return static_cast<uint64_t>(std::bit_width(static_cast<unsigned>(count)));
  };
  return num_moves_ << 24 | log(num_narrow_) << 16 | log(num_wide_) << 8 | log(num_merges_);
}

// Gives each chunk of 16 packed rows to a block of its own; false where partials run out.
bool CudaAttentionPlan::Split(int s, int first_row, int begin, int end) {
  if (end - begin < 2 || num_partials_ + end - begin > max_partials_) return false;
  merge_items_.push_back({s, first_row, num_partials_, end - begin});
  for (int chunk = begin; chunk < end; ++chunk) {
    narrow_items_.push_back({s, first_row, chunk, chunk + 1, num_partials_++});
  }
  return true;
}

void CudaAttentionPlan::AddSequence(const BatchShape& shape, int s, bool may_split) {
  const auto at = static_cast<size_t>(s);
  const int num_rows = (shape.row_offsets[at + 1] - shape.row_offsets[at]) * group_;
  const int num_chunks = CeilDiv(shape.context_lens[at], kChunkTokens);
  const bool is_wide = num_rows > kRowBlock;
  if (may_split && num_rows <= 4 * kRowBlock) {
    int row = 0;
    while (row < num_rows && Split(s, row, 0, num_chunks)) row += kRowBlock;
    for (; row < num_rows; row += kRowBlock) narrow_items_.push_back({s, row, 0, num_chunks, -1});
    return;
  }
  auto& items = is_wide ? wide_items_ : narrow_items_;
  for (int row = 0; row < num_rows; row += is_wide ? kWideRows : kRowBlock) {
    items.push_back({s, row, 0, num_chunks, -1});
  }
}

void CudaAttentionPlan::Plan(const BatchShape& shape, DeviceRuntime& runtime, SpanStaging& spans) {
  CheckArgs(shape, limits_);
  RA_CHECK(shape.is_in_bucket || shape.num_padding_rows == 0);
  num_sequences_ = shape.num_sequences();
  num_rows_ = (num_sequences_ == 0 ? 0 : shape.row_offsets.back()) + shape.num_padding_rows;
  num_partials_ = 0;
  narrow_items_.clear();
  wide_items_.clear();
  merge_items_.clear();
  row_sequences_.clear();
  int64_t blocks = 0;
  for (int s = 0; s < num_sequences_; ++s) {
    const auto at = static_cast<size_t>(s);
    const int rows = shape.row_offsets[at + 1] - shape.row_offsets[at];
    blocks += CeilDiv(rows * group_, kWideRows) * limits_.num_kv_heads;
    row_sequences_.insert(row_sequences_.end(), static_cast<size_t>(rows), s);
  }
  row_sequences_.resize(static_cast<size_t>(num_rows_), -1);
  for (int s = 0; s < num_sequences_; ++s) AddSequence(shape, s, blocks < wanted_blocks_);
  // The longest first: what is left at the end is short.
  std::stable_sort(wide_items_.begin(), wide_items_.end(),
                   [](const auto& a, const auto& b) { return a.end_chunk > b.end_chunk; });
  if (shape.is_in_bucket) PadItems();
  Write(shape);
  const auto bytes = static_cast<int64_t>(words_.size() * 4);
  if (bytes > device_.bytes()) {  // smaller cache blocks than foreseen: once
    runtime.Wait(runtime.Record());
    device_ = runtime.Allocate(2 * bytes, MemoryKind::kDevice);
    ++num_moves_;
  }
  const std::span<const int32_t> words = words_;
  runtime.CopyFromPinned(device_.data(), spans.In(words), bytes);
}

void CudaAttentionPlan::Write(const BatchShape& shape) {
  // Every sequence has a row at least.
  const size_t sequences = shape.is_in_bucket ? static_cast<size_t>(num_rows_) : 0;
  words_.assign(1, shape.table_stride);
  narrow_at_ = Append(std::span<const AttentionItem>(narrow_items_), 0);
  wide_at_ = Append(std::span<const AttentionItem>(wide_items_), 0);
  merges_at_ = Append(std::span<const MergeItem>(merge_items_), 0);
  offsets_at_ = Append(shape.row_offsets, sequences + 1);
  lens_at_ = Append(shape.context_lens, sequences);
  rows_at_ = Append(std::span<const int32_t>(row_sequences_), 0);
  tables_at_ = Append(shape.block_tables, 0);
  num_narrow_ = static_cast<int>(narrow_items_.size());
  num_wide_ = static_cast<int>(wide_items_.size());
  num_merges_ = static_cast<int>(merge_items_.size());
}

}  // namespace runahead::RA_CUDA
