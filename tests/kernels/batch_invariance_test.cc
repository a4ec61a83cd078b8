// A row's result is the same bits whatever shares its batch, chunk or threads.
#include <map>

#include "tests/kernels/step_fixture.h"

namespace runahead {
namespace {

std::unique_ptr<Backend> WithThreads(const std::string& isa, int num_threads) {
  return Make({"cpu", isa, num_threads});
}

class BatchInvarianceTest : public testing::TestWithParam<std::string> {};

// Every row of x [most, k] in batches of every size, by any number of threads.
void CheckLinearRows(const std::string& isa, WeightFormat format, int64_t n, int64_t k) {
  std::mt19937 rng(1);
  const int64_t most = 36;
  const Tensor w = RandomTensor(DType::kF32, {n, k}, rng);
  const TensorView parts[] = {w.view()};
  const DType x_dtype = format == WeightFormat::kF32 ? DType::kF32 : DType::kBF16;
  const Tensor x = RandomTensor(x_dtype, {most, k}, rng);
  std::vector<std::vector<uint8_t>> alone;
  for (const int threads : {1, 2, 3, 4}) {
    const auto backend = WithThreads(isa, threads);
    HostLinear canonical;
    canonical.parts = parts;
    canonical.format = format;
    const auto weight = backend->PackLinear(canonical);
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 25, 33}) {
      const Tensor y(DType::kF32, {rows, n});
      for (int64_t begin = 0; begin + rows <= most; begin += rows) {
        backend->Linear({.x = x.view().Rows(begin, rows), .weight = weight.get(), .y = y.view()});
        for (int64_t i = 0; i < rows; ++i) {
          const auto at = static_cast<size_t>(begin + i);
          if (at == alone.size()) alone.push_back(RowBytes(y.view(), i));
          ASSERT_EQ(RowBytes(y.view(), i), alone[at]) << rows << " rows, " << threads << " threads";
        }
      }
    }
  }
}

TEST_P(BatchInvarianceTest, LinearRowsDoNotSeeTheirBatch) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16}) {
    CheckLinearRows(GetParam(), format, 330, 500);
    CheckLinearRows(GetParam(), format, 33, 2051);  // more than one block of k
  }
}

// Tokens 0.. of sequence 0 are run in chunks of each size, beside sequence 1 or alone.
TEST_P(BatchInvarianceTest, AttentionRowsDoNotSeeTheirChunkOrBatch) {
  constexpr int kTokens = 150;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    for (const int window : {0, 70}) {
      std::map<int, std::vector<uint8_t>> alone;
      for (const int threads : {1, 2, 3, 4}) {
        const auto backend = WithThreads(GetParam(), threads);
        for (const int chunk : {1, 3, 16, 64, 67, kTokens}) {
          if (chunk <= 3 && threads > 2) continue;
          StepShape shape = {.num_heads = 6, .num_kv_heads = 2, .head_dim = 40, .block_size = 16};
          shape.window = window;
          StepFixture step(*backend, shape, DType::kF32, dtype);
          for (int begin = 0; begin < kTokens; begin += chunk) {
            const int rows = std::min(chunk, kTokens - begin);
            std::vector<Chunk> runs = {{0, rows}};
            if (chunk == 3) runs.insert(runs.begin(), {1, 1 + begin % 4});
            const Tensor out = step.Run(*backend, runs);
            const int64_t first = out.view().dim(0) - rows;
            for (int i = 0; i < rows; ++i) {
              const auto bytes = RowBytes(out.view(), first + i);
              const auto& expected = alone.emplace(begin + i, bytes).first->second;
              ASSERT_EQ(bytes, expected) << "token " << begin + i << " in chunks of " << chunk
                                         << ", " << threads << " threads";
            }
          }
        }
      }
    }
  }
}

// A long context with one KV head: with several threads its key tiles are shared out, with one they
// are not.
TEST_P(BatchInvarianceTest, SharedKeyTilesGiveTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    for (const int window : {0, 900}) {
      std::vector<uint8_t> expected;
      for (const int threads : {1, 2, 3, 4}) {
        const auto backend = WithThreads(GetParam(), threads);
        StepShape shape = {.num_heads = 5, .num_kv_heads = 1, .head_dim = 64, .block_size = 16};
        shape.max_context = 1200;
        shape.window = window;
        StepFixture step(*backend, shape, DType::kF32, dtype);
        step.FillCache(*backend, 0, 1150);
        const Tensor out = step.Run(*backend, {{0, 4}});
        if (expected.empty()) expected = out.bytes();
        ASSERT_EQ(out.bytes(), expected) << threads << " threads";
      }
    }
  }
}

// Rejected drafts leave their K and V behind; what comes after must not notice.
TEST_P(BatchInvarianceTest, RejectedDraftsLeaveNoTrace) {
  const auto backend = WithThreads(GetParam(), 2);
  const StepShape shape = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 64, .block_size = 16};
  for (const DType cache : {DType::kBF16, DType::kI8}) {
    StepFixture plain(*backend, shape, DType::kF32, cache);
    StepFixture drafted(*backend, shape, DType::kF32, cache);
    plain.Run(*backend, {{0, 30}});
    drafted.Run(*backend, {{0, 30}});
    const Tensor with_drafts = drafted.Run(*backend, {{0, 5}});
    drafted.Truncate(0, 31);
    EXPECT_EQ(RowBytes(plain.Run(*backend, {{0, 1}}).view(), 0), RowBytes(with_drafts.view(), 0));
    EXPECT_EQ(plain.Run(*backend, {{0, 1}}).bytes(), drafted.Run(*backend, {{0, 1}}).bytes());
  }
}

TEST_P(BatchInvarianceTest, RowOpsDoNotSeeTheirBatch) {
  std::mt19937 rng(9);
  const int64_t rows = 70;
  const int64_t width = 1040;
  const Tensor x = RandomTensor(DType::kF32, {rows, 2 * width}, rng);
  const std::vector<float> gain = RandomFloats(2 * width, rng);
  const auto single = WithThreads(GetParam(), 1);
  const auto many = WithThreads(GetParam(), 4);
  const Tensor norm(DType::kF32, {rows, 2 * width});
  const Tensor silu(DType::kBF16, {rows, width});
  many->RmsNorm({.x = x.view(), .gain = gain.data(), .eps = 1e-5f, .y = norm.view()});
  many->SiluMul({.gate_up = x.view(), .out = silu.view()});
  for (int64_t r = 0; r < rows; ++r) {
    const Tensor one_norm(DType::kF32, {1, 2 * width});
    const Tensor one_silu(DType::kBF16, {1, width});
    const TensorView row = x.view().Rows(r, 1);
    single->RmsNorm({.x = row, .gain = gain.data(), .eps = 1e-5f, .y = one_norm.view()});
    single->SiluMul({.gate_up = row, .out = one_silu.view()});
    EXPECT_EQ(RowBytes(norm.view(), r), one_norm.bytes());
    EXPECT_EQ(RowBytes(silu.view(), r), one_silu.bytes());
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, BatchInvarianceTest, testing::ValuesIn(TestedIsas()),
                         [](const auto& isa_info) { return isa_info.param; });

}  // namespace
}  // namespace runahead
