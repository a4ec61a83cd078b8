#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/step_fixture.h"

namespace runahead {
namespace {

constexpr DType kCacheTypes[] = {DType::kF32, DType::kBF16, DType::kI8};

// What rows are in beside a cache.
DType ActivationFor(DType cache) { return cache == DType::kI8 ? DType::kF32 : cache; }

class AttentionTest : public OpTest {
 protected:
  // Rotates, stores and attends for one batch on top of what the cache holds, and checks q and the
  // outputs.
  void Check(StepFixture& step, const std::vector<Chunk>& runs) {
    const Tensor out = step.Run(*backend_, runs);
    step.ExpectOutputs(out, runs);
  }
};

// Every head size, ratio, block size and dtype, over contexts that cross tile borders, in two
// chunks and a decode.
TEST_P(AttentionTest, MatchesSoftmaxForAllShapes) {
  const std::vector<StepShape> shapes = {
      {.num_heads = 4, .num_kv_heads = 4, .head_dim = 32, .block_size = 16},
      {.num_heads = 4, .num_kv_heads = 2, .head_dim = 64, .block_size = 16},
      {.num_heads = 8, .num_kv_heads = 1, .head_dim = 80, .block_size = 32},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 96, .block_size = 8},
      {.num_heads = 3, .num_kv_heads = 1, .head_dim = 128, .block_size = 16},
      {.num_heads = 2, .num_kv_heads = 1, .head_dim = 18, .block_size = 24},
  };
  for (const DType dtype : kCacheTypes) {
    for (const StepShape& shape : shapes) {
      StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
      Check(step, {{0, 70}, {1, 3}});
      Check(step, {{0, 1}, {1, 62}});  // a decode beside a chunk that ends at a tile's border
      Check(step, {{1, 5}, {0, 1}});   // a verification across the border
    }
  }
}

TEST_P(AttentionTest, MixesActivationAndCacheTypes) {
  const StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 32, .block_size = 16};
  const std::pair<DType, DType> mixes[] = {
      {DType::kF32, DType::kBF16}, {DType::kBF16, DType::kF32}, {DType::kBF16, DType::kI8}};
  for (const auto& [activation, cache] : mixes) {
    StepFixture step(*backend_, shape, activation, cache);
    Check(step, {{0, 33}});
    Check(step, {{0, 1}});
  }
}

TEST_P(AttentionTest, MasksBeyondTheSlidingWindow) {
  for (const DType dtype : kCacheTypes) {
    for (const int window : {1, 5, 64, 100}) {
      StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 32, .block_size = 16};
      shape.window = window;
      StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
      Check(step, {{0, 150}});
      Check(step, {{0, 1}, {1, 2}});
    }
  }
}

TEST_P(AttentionTest, NormsQueriesAndKeysPerHead) {
  StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 48, .block_size = 16};
  shape.qk_norm = true;
  for (const DType dtype : kCacheTypes) {
    StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
    Check(step, {{0, 20}, {1, 1}});
  }
}

// One sequence and one KV head at a long context: the key tiles themselves are shared out over the
// threads.
TEST_P(AttentionTest, SharesALongContextByKeyTiles) {
  for (const DType dtype : kCacheTypes) {
    StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 64, .block_size = 16};
    shape.max_context = 1100;
    StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
    step.FillCache(*backend_, 0, 1090);
    Check(step, {{0, 3}});
  }
}

// What lies in the cache beyond a sequence's tokens is garbage by definition, NaN included.
TEST_P(AttentionTest, IgnoresGarbageBeyondTheContext) {
  for (const DType dtype : kCacheTypes) {
    const StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 32, .block_size = 16};
    StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
    step.PoisonCache();
    Check(step, {{0, 19}});
    Check(step, {{0, 1}});
  }
}

TEST_P(AttentionTest, CopyBlocksMovesWholeBlocks) {
  const StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 32, .block_size = 16};
  for (const DType cache : kCacheTypes) {
    StepFixture step(*backend_, shape, DType::kF32, cache);
    Check(step, {{0, 40}});
    step.MoveBlocks(*backend_, 0);  // to other blocks; the old ones are poisoned
    Check(step, {{0, 1}});
  }
}

TEST_P(AttentionTest, NoRowsDoNothing) {
  const StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 32, .block_size = 16};
  StepFixture step(*backend_, shape, DType::kF32, DType::kF32);
  Check(step, {});
}

RA_FOR_ALL_BACKENDS(AttentionTest);

}  // namespace
}  // namespace runahead
