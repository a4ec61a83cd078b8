#include "kernels/cuda/attention_plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/host_memory.h"

namespace runahead::RA_CUDA {
namespace {

// A device whose memory is the host's.
class HostRuntime final : public DeviceRuntime {
 public:
  explicit HostRuntime(int multiprocessors) { properties_.num_multiprocessors = multiprocessors; }
  const DeviceProperties& properties() const override { return properties_; }
  Stream stream() override { return nullptr; }
  DeviceBuffer Allocate(int64_t bytes, MemoryKind /*kind*/) override {
    return AllocateHostMemory(bytes);
  }
  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void CopyFromPinned(void* to, const void* from, int64_t bytes) override {
    CopyToDevice(to, from, bytes);
  }
  void CopyToHost(void*, const void*, int64_t) override {}
  void Fill(void*, int, int64_t) override {}
  Ticket Record() override { return 0; }
  void Wait(Ticket) override {}
  std::unique_ptr<Graph> Capture(const std::function<void()>&) override { return nullptr; }

 private:
  DeviceProperties properties_;
};

struct Sequence {
  int num_rows;
  int context;
};

// Plans and checks that every packed row meets every key chunk once, and that partials are apart.
void CheckPlan(int multiprocessors, const std::vector<Sequence>& sequences, bool expects_split,
               bool is_in_bucket) {
  HostRuntime runtime(multiprocessors);
  const AttentionLimits limits = {.max_sequences = 8,
                                  .max_rows = 600,
                                  .max_context = 2000,
                                  .num_heads = 8,
                                  .num_kv_heads = 2,
                                  .head_dim = 64};
  CudaAttentionPlan plan(limits, runtime);
  std::vector<int32_t> offsets = {0}, lens, tables;
  constexpr int kStride = 500;  // cache blocks of 4 tokens: more than the plan foresees
  for (const Sequence& sequence : sequences) {
    offsets.push_back(offsets.back() + sequence.num_rows);
    lens.push_back(sequence.context);
    for (int i = 0; i < kStride; ++i) tables.push_back(i);
  }
  BatchShape shape;
  shape.row_offsets = offsets;
  shape.context_lens = lens;
  shape.block_tables = tables;
  shape.table_stride = kStride;
  shape.is_in_bucket = is_in_bucket;
  shape.num_padding_rows = is_in_bucket ? 7 : 0;
  SpanStaging staging(runtime, 1 << 20);
  plan.Plan(shape, runtime, staging);
  EXPECT_EQ(*plan.table_stride(), kStride);
  EXPECT_EQ(plan.num_rows(), offsets.back() + shape.num_padding_rows);
  EXPECT_EQ(std::vector(plan.row_offsets(), plan.row_offsets() + offsets.size()), offsets);
  EXPECT_EQ(std::vector(plan.block_tables(), plan.block_tables() + tables.size()), tables);
  for (int row = offsets.back(); row < plan.num_rows(); ++row) {
    EXPECT_EQ(plan.row_sequences()[row], -1);
  }
  std::map<std::pair<int, int>, std::vector<int>> chunks;  // (sequence, row block) -> times seen
  std::set<int> partials;
  const auto visit = [&](const AttentionItem& item, int rows) {
    if (item.sequence < 0) return;
    const auto s = static_cast<size_t>(item.sequence);
    for (int row = item.first_row; row < item.first_row + rows; row += kRowBlock) {
      if (row >= sequences[s].num_rows * 4) continue;
      auto& seen = chunks[{item.sequence, row}];
      seen.resize(static_cast<size_t>((lens[s] + kChunkTokens - 1) / kChunkTokens));
      for (int c = item.begin_chunk; c < item.end_chunk; ++c) ++seen.at(static_cast<size_t>(c));
    }
    if (item.partial < 0) return;
    EXPECT_EQ(item.end_chunk, item.begin_chunk + 1);
    EXPECT_TRUE(partials.insert(item.partial).second);
  };
  for (int i = 0; i < plan.num_narrow(); ++i) visit(plan.narrow()[i], kRowBlock);
  for (int i = 0; i < plan.num_wide(); ++i) visit(plan.wide()[i], kWideRows);
  size_t num_blocks = 0;
  for (const Sequence& sequence : sequences) {
    num_blocks += static_cast<size_t>((sequence.num_rows * 4 + kRowBlock - 1) / kRowBlock);
  }
  EXPECT_EQ(chunks.size(), num_blocks);
  for (const auto& [block, seen] : chunks) {
    for (const int times : seen) EXPECT_EQ(times, 1) << block.first << " " << block.second;
  }
  size_t merged = 0;
  for (int i = 0; i < plan.num_merges(); ++i) {
    const MergeItem& merge = plan.merges()[i];
    for (int c = 0; c < merge.num_chunks; ++c) merged += partials.count(merge.partial + c);
  }
  EXPECT_EQ(merged, partials.size());
  EXPECT_EQ(plan.num_merges() > 0, expects_split);
}

void Check(int multiprocessors, const std::vector<Sequence>& sequences, bool expects_split) {
  CheckPlan(multiprocessors, sequences, expects_split, false);
  CheckPlan(multiprocessors, sequences, expects_split, true);
}

TEST(AttentionPlanTest, EveryRowMeetsEveryChunkOnce) {
  Check(100, {{1, 1}, {1, 256}}, false);  // a chunk each
  Check(100, {{1, 2000}}, true);
  Check(100, {{4, 2000}, {5, 1700}, {1, 257}}, true);
  Check(100, {{300, 2000}, {300, 300}}, false);  // prefill alone fills the device
  Check(1, {{1, 2000}, {1, 2000}}, false);
  Check(100, {}, false);
}

// Where partials run out, blocks fold their chunks themselves.
TEST(AttentionPlanTest, LongSequencesBeyondThePartialsAreNotSplit) {
  Check(8, {{1, 2000}, {1, 2000}, {1, 2000}, {1, 2000}, {1, 2000}, {1, 2000}, {1, 2000}}, true);
}

// Plans of a chain's passes share what one step alone uses.
TEST(AttentionPlanTest, APlanBesideAnotherHasItsPartials) {
  HostRuntime runtime(100);
  AttentionLimits limits = {.max_sequences = 8,
                            .max_rows = 64,
                            .max_context = 2000,
                            .num_heads = 8,
                            .num_kv_heads = 2,
                            .head_dim = 64};
  const CudaAttentionPlan first(limits, runtime);
  limits.max_sequences = 1;
  limits.max_rows = 4;
  limits.beside = &first;
  CudaAttentionPlan second(limits, runtime);
  EXPECT_EQ(second.partials(), first.partials());
  EXPECT_NE(second.table_stride(), first.table_stride());
  SpanStaging staging(runtime, 1 << 20);
  const std::vector<int32_t> offsets = {0, 1}, lens = {2000}, tables(125, 3);
  second.Plan(
      {.row_offsets = offsets, .context_lens = lens, .block_tables = tables, .table_stride = 125},
      runtime, staging);
  EXPECT_EQ(second.num_merges(), 1);
  EXPECT_EQ(second.num_narrow(), 8);
}

// A graph holds addresses and grids: steps of one bucket and like lists have the same, others have
// another key.
TEST(AttentionPlanTest, EqualKeysMeanEqualAddresses) {
  HostRuntime runtime(4);
  SpanStaging staging(runtime, 1 << 20);
  CudaAttentionPlan plan({.max_sequences = 8,
                          .max_rows = 64,
                          .max_context = 2000,
                          .num_heads = 8,
                          .num_kv_heads = 2,
                          .head_dim = 64},
                         runtime);
  struct Seen {
    uint64_t key;
    std::vector<const void*> addresses;
    int num_narrow, num_wide, num_merges;
    bool operator==(const Seen&) const = default;
  };
  const auto plan_of = [&](const std::vector<Sequence>& sequences, int bucket) {
    std::vector<int32_t> offsets = {0}, lens;
    for (const Sequence& sequence : sequences) {
      offsets.push_back(offsets.back() + sequence.num_rows);
      lens.push_back(sequence.context);
    }
    const int stride = (*std::ranges::max_element(lens) + 15) / 16;
    const std::vector<int32_t> tables(sequences.size() * static_cast<size_t>(stride), 3);
    plan.Plan({.row_offsets = offsets,
               .context_lens = lens,
               .block_tables = tables,
               .table_stride = stride,
               .num_padding_rows = bucket - offsets.back(),
               .is_in_bucket = true},
              runtime, staging);
    return Seen{plan.graph_key(),
                {plan.row_offsets(), plan.context_lens(), plan.row_sequences(), plan.block_tables(),
                 plan.narrow(), plan.wide(), plan.merges()},
                plan.num_narrow(),
                plan.num_wide(),
                plan.num_merges()};
  };
  const Seen three = plan_of({{1, 5}, {1, 100}, {1, 30}}, 4);
  EXPECT_EQ(plan_of({{1, 200}, {1, 31}, {1, 250}, {1, 7}}, 4), three);
  EXPECT_EQ(plan_of({{2, 90}, {1, 3}, {1, 17}}, 4), three);
  EXPECT_NE(plan_of({{4, 90}}, 4).key, three.key) << "one list is shorter";
  EXPECT_NE(plan_of({{1, 1900}, {1, 3}, {1, 2}}, 4).key, three.key) << "chunks are shared out";
}

}  // namespace
}  // namespace runahead::RA_CUDA
