#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/quantized_rows.h"
#include "tests/kernels/step_fixture.h"

namespace runahead {
namespace {

// What rows are in beside a cache.
DType ActivationFor(DType cache) { return cache == DType::kI8 ? DType::kF32 : cache; }

class AttentionTest : public OpTest {
 protected:
  std::vector<DType> CacheTypes() const {
    std::vector<DType> types = Activations();
    types.push_back(DType::kI8);
    return types;
  }

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
  for (const DType dtype : CacheTypes()) {
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
  std::vector<std::pair<DType, DType>> mixes = {
      {DType::kF32, DType::kBF16}, {DType::kBF16, DType::kF32}, {DType::kBF16, DType::kI8}};
  if (backend_->info().has_f16) {
    mixes.insert(mixes.end(), {{DType::kF16, DType::kF32},
                               {DType::kF16, DType::kI8},
                               {DType::kF16, DType::kBF16},
                               {DType::kBF16, DType::kF16}});
  }
  for (const auto& [activation, cache] : mixes) {
    StepFixture step(*backend_, shape, activation, cache);
    Check(step, {{0, 33}});
    Check(step, {{0, 1}});
  }
}

TEST_P(AttentionTest, MasksBeyondTheSlidingWindow) {
  for (const DType dtype : CacheTypes()) {
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
  for (const DType dtype : CacheTypes()) {
    StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
    Check(step, {{0, 20}, {1, 1}});
  }
}

// One sequence and one KV head at a long context: the key tiles themselves are shared out over the
// threads.
TEST_P(AttentionTest, SharesALongContextByKeyTiles) {
  for (const DType dtype : CacheTypes()) {
    StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 64, .block_size = 16};
    shape.max_context = 1100;
    StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
    step.FillCache(*backend_, 0, 1090);
    Check(step, {{0, 3}});
  }
}

// What lies in the cache beyond a sequence's tokens is garbage by definition, NaN included.
TEST_P(AttentionTest, IgnoresGarbageBeyondTheContext) {
  for (const DType dtype : CacheTypes()) {
    const StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 32, .block_size = 16};
    StepFixture step(*backend_, shape, ActivationFor(dtype), dtype);
    step.PoisonCache();
    Check(step, {{0, 19}});
    Check(step, {{0, 1}});
  }
}

// A NaN or an infinity in a token's K or V reaches the rows of its sequence that see it, and none
// else:
//
//   sequence 0: token 40 is spoilt       rows 0..39 before it       row 40 and later: NaN, of that
//   KV head sequence 1: as if nothing had been
TEST_P(AttentionTest, WhatIsNotFiniteStaysInItsSequence) {
  const StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 32, .block_size = 16};
  const int value_head = shape.num_heads + shape.num_kv_heads + 1;
  const int key_head = shape.num_heads + 1;
  for (const DType cache : CacheTypes()) {
    for (const int head : {key_head, value_head}) {
      for (const float spoilt : {NAN, INFINITY}) {
        StepFixture step(*backend_, shape, DType::kF32, cache);
        step.SpoilToken(0, 40, head, spoilt);
        Check(step, {{0, 40}, {1, 40}});
        const Tensor out = step.Run(*backend_, {{1, 3}, {0, 2}});
        for (int64_t row = 0; row < 5; ++row) {
          for (int64_t i = 0; i < 4 * 32; ++i) {
            // A float value spoils its own column alone, and an infinite key may weigh nothing.
            const bool spoils =
                cache == DType::kI8 || (head == key_head ? std::isnan(spoilt) : i % 32 == 1);
            if (row < 3 || i < 2 * 32) {
              EXPECT_TRUE(std::isfinite(out.at(row, i))) << row << " " << i;
            } else if (spoils) {
              EXPECT_FALSE(std::isfinite(out.at(row, i))) << row << " " << i;
            }
          }
        }
      }
    }
  }
}

// The o-projection of quantized weights takes quantized rows: values times scale are the plain
// output to within half a unit, a scale is its group's largest over 127, and sums are of the
// values.
TEST_P(AttentionTest, QuantizesItsOutputWhereTheViewAsks) {
  const StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 40, .block_size = 16};
  constexpr int64_t kWidth = 4 * 40;
  const std::vector<Chunk> runs = {{0, 66}, {1, 3}};
  for (const DType cache : {DType::kBF16, DType::kI8}) {
    StepFixture plain(*backend_, shape, DType::kF32, cache);
    const Tensor expected = plain.Run(*backend_, runs);
    for (const int group : {0, 32, 128}) {
      const QuantizedRowLayout layout(kWidth, group);
      std::vector<int8_t> bytes(static_cast<size_t>(69 * layout.row_bytes), int8_t{0x55});
      const TensorView out = RowsIn({DType::kI8, group}, bytes.data(), 69, kWidth);
      StepFixture step(*backend_, shape, DType::kF32, cache);
      step.RunInto(*backend_, runs, out);
      const int64_t each = group == 0 ? kWidth : group;
      for (int64_t row = 0; row < 69; ++row) {
        const int8_t* data = out.Row<int8_t>(row);
        for (int64_t g = 0; g < layout.num_groups; ++g) {
          float scale = 0;
          int32_t sum = 0;
          std::memcpy(&scale, data + layout.scales_at + 4 * g, 4);
          std::memcpy(&sum, data + layout.sums_at + 4 * g, 4);
          double largest = 0;
          for (int64_t i = g * each; i < std::min(kWidth, (g + 1) * each); ++i) {
            sum -= data[i];
            largest = std::max(largest, std::abs(expected.at(row, i)));
            // A tie's value may be either side's: half a unit, and a few roundings of a number to
            // 127.
            EXPECT_NEAR(data[i] * double{scale}, expected.at(row, i),
                        double{scale} * (0.5 + 127 * 4 * kEpsF32));
          }
          EXPECT_EQ(sum, 0);
          EXPECT_NEAR(double{scale}, largest / 127, largest / 127 * 4 * kEpsF32);
        }
      }
    }
  }
}

TEST_P(AttentionTest, CopyBlocksMovesWholeBlocks) {
  const StepShape shape = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 32, .block_size = 16};
  for (const DType cache : CacheTypes()) {
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
