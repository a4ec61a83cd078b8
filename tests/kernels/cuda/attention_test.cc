// A row's attention has the same bits however its sequence is chunked, whatever shares the step,
// and whether its key chunks were computed by one block or by several.
#include <algorithm>
#include <map>
#include <utility>

#include "kernels/cuda/attention_plan.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/kernels/step_fixture.h"

namespace runahead {
namespace {

// Tokens 250.. of sequence 0 in one chunk of many rows (blocks of 64 packed rows, the last one not
// full, none split), then the first of them in chunks of one row and of three beside another
// sequence, whose two key chunks (from token 256 on) are split.
TEST(CudaAttentionTest, RowsDoNotSeeTheirChunkTheirBatchOrTheSplit) {
  constexpr int kBefore = 250;
  constexpr int kTokens = 36;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8}) {
    for (const auto& [window, head_dim] :
         {std::pair(0, 48), std::pair(70, 48), std::pair(0, 128)}) {
      std::map<int, std::vector<uint8_t>> alone;
      const auto backend = Make({"cuda_emulated", "", 1});
      for (const int chunk : {kTokens, 1, 3}) {
        emulator::SetSeed(static_cast<uint64_t>(chunk + window));
        StepShape shape = {
            .num_heads = 4, .num_kv_heads = 2, .head_dim = head_dim, .block_size = 16};
        shape.window = window;
        shape.max_context = 290;
        StepFixture step(*backend, shape, DType::kF32, dtype);
        step.FillCache(*backend, 0, kBefore);
        for (int begin = 0; begin < std::min(kTokens, 9 * chunk); begin += chunk) {
          std::vector<Chunk> runs = {{0, chunk}};
          if (chunk == 3) runs.insert(runs.begin(), {1, 1 + begin % 4});
          const Tensor out = step.Run(*backend, runs);
          const int64_t first = out.view().dim(0) - chunk;
          for (int i = 0; i < chunk; ++i) {
            const auto bytes = RowBytes(out.view(), first + i);
            const auto& expected = alone.emplace(begin + i, bytes).first->second;
            ASSERT_EQ(bytes, expected)
                << "token " << begin + i << " in chunks of " << chunk << ", window " << window
                << ", head_dim " << head_dim << " " << DTypeName(dtype);
          }
        }
      }
    }
  }
}

// A draft that is not finite shares its tile with rows before it; they must not notice.
TEST(CudaAttentionTest, ALaterRowThatIsNotFiniteIsNotSeen) {
  const StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 32, .block_size = 16};
  for (const DType cache : {DType::kBF16, DType::kF16, DType::kI8, DType::kF32}) {
    for (const int head : {4, 6}) {  // of K and of V
      const auto backend = Make({"cuda_emulated", "", 1});
      StepFixture clean(*backend, shape, DType::kF32, cache);
      StepFixture spoilt(*backend, shape, DType::kF32, cache);
      spoilt.SpoilToken(0, 21, head, NAN);
      const Tensor expected = clean.Run(*backend, {{0, 23}});
      const Tensor actual = spoilt.Run(*backend, {{0, 23}});
      for (int64_t row = 0; row < 21; ++row) {
        EXPECT_EQ(RowBytes(actual.view(), row), RowBytes(expected.view(), row)) << row;
      }
    }
  }
}

}  // namespace
}  // namespace runahead
