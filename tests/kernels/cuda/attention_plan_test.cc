#include "kernels/cuda/attention_plan.h"

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
void Check(int multiprocessors, const std::vector<Sequence>& sequences, bool expects_split) {
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
  plan.Plan(shape, runtime);
  std::map<std::pair<int, int>, std::vector<int>> chunks;  // (sequence, row block) -> times seen
  std::set<int> partials;
  const auto visit = [&](const AttentionItem& item, int rows) {
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
  for (int i = 0; i < plan.num_wide(); ++i) visit(plan.wide()[i], 2 * kRowBlock);
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

}  // namespace
}  // namespace runahead::RA_CUDA
