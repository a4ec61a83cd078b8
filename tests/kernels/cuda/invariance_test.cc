// A row's bits depend neither on the rows that share its batch nor on the order in which threads,
// warps and blocks run.
#include "kernels/quantized_rows.h"
#include "tests/cuda_emulator/emulated_runtime.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr int64_t kRows = 9;
constexpr int64_t kWidth = 600;

// What every row op makes of rows [begin, begin + count).
std::vector<std::vector<uint8_t>> RowsOf(Backend& backend, const LinearWeight& weight,
                                         int64_t begin, int64_t count) {
  std::mt19937 rng(1);
  const Tensor all = RandomTensor(DType::kBF16, {kRows, 2 * kWidth}, rng);
  const std::vector<float> gain = RandomFloats(2 * kWidth, rng);
  const TensorView x = all.view().Rows(begin, count);
  const Tensor norm(DType::kBF16, {count, 2 * kWidth});
  const Tensor silu(DType::kF32, {count, kWidth});
  const Tensor linear(DType::kF32, {count, weight.n()});
  const InputFormat format = {DType::kI8, 128};
  std::vector<uint8_t> codes(static_cast<size_t>(count * RowBytes(format, kWidth)));
  backend.RmsNorm({.x = x, .gain = gain.data(), .eps = 1e-5f, .y = norm.view()});
  backend.SiluMul({.gate_up = x, .out = silu.view()});
  backend.SiluMul({.gate_up = x, .out = RowsIn(format, codes.data(), count, kWidth)});
  backend.Linear({.x = norm.view(), .weight = &weight, .y = linear.view()});
  std::vector<std::vector<uint8_t>> rows;
  for (int64_t r = 0; r < count; ++r) {
    rows.push_back(RowBytes(norm.view(), r));
    const auto size = static_cast<int64_t>(codes.size()) / count;
    rows.back().insert(rows.back().end(), codes.begin() + r * size, codes.begin() + (r + 1) * size);
    for (const TensorView& view : {silu.view(), linear.view()}) {
      const auto bytes = RowBytes(view, r);
      rows.back().insert(rows.back().end(), bytes.begin(), bytes.end());
    }
  }
  return rows;
}

TEST(CudaInvarianceTest, RowsDoNotSeeTheirBatchOrTheOrderOfThreads) {
  const auto backend = Make({"cuda_emulated", "", 1});
  std::mt19937 rng(2);
  const Tensor w = RandomTensor(DType::kBF16, {33, 2 * kWidth}, rng);
  const TensorView parts[] = {w.view()};
  HostLinear canonical;
  canonical.parts = parts;
  const auto weight = backend->PackLinear(canonical);
  const auto expected = RowsOf(*backend, *weight, 0, kRows);
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    emulator::SetSeed(seed);
    EXPECT_EQ(RowsOf(*backend, *weight, 0, kRows), expected) << "seed " << seed;
  }
  for (const int64_t count : {1, 2, 3}) {
    for (int64_t begin = 0; begin + count <= kRows; begin += count) {
      const auto rows = RowsOf(*backend, *weight, begin, count);
      for (int64_t r = 0; r < count; ++r) {
        EXPECT_EQ(rows[static_cast<size_t>(r)], expected[static_cast<size_t>(begin + r)]);
      }
    }
  }
}

// What a graph captured runs again on what its tensors hold then.
TEST(CudaInvarianceTest, AGraphRepeatsItsOps) {
  const auto staged = Make({"cuda_emulated", "", 1});  // its own memory calls go to the device
  const int64_t bytes = 4 * 64;
  const DeviceBuffer x = staged->Allocate(bytes, MemoryKind::kDevice);
  const DeviceBuffer y = staged->Allocate(bytes, MemoryKind::kDevice);
  const auto graph = staged->Capture([&] { staged->CopyToHost(y.data(), x.data(), bytes); });
  ASSERT_NE(graph, nullptr);
  for (const float value : {1.0f, 2.0f}) {
    const std::vector<float> in(64, value);
    staged->CopyToDevice(x.data(), in.data(), bytes);
    graph->Launch();
    std::vector<float> out(64);
    staged->CopyToHost(out.data(), y.data(), bytes);
    staged->Wait(staged->Record());
    EXPECT_EQ(out, in);
  }
}

// What a graph may hold at most: a bucket of 128 rows, each sampled, with the longest lists. Six
// gathers stand for the layers' spans and more. What is captured does not run.
TEST(CudaInvarianceTest, AGraphHasPlacesForItsLargestStep) {
  constexpr size_t kLargest = 128;
  constexpr size_t kListed = 2048;  // SamplingInput::kMaxListed
  constexpr int64_t kVocab = 64;
  const auto backend = MakeEmulatedCudaBackend();
  const DeviceBuffer memory =
      backend->Allocate(int64_t{kLargest} * kVocab * 4, MemoryKind::kDevice);
  const TensorView logits(memory.data(), DType::kF32, {kLargest, kVocab});
  const std::vector<std::vector<int32_t>> gathers(6, std::vector<int32_t>(kLargest));
  const std::vector<LogitParams> params(kLargest);
  const std::vector<TokenAdjust> adjusts(kListed);
  const std::vector<int32_t> allowed(kListed);
  const std::vector<int32_t> offsets(kLargest + 1);
  const std::vector<int32_t> other_offsets(kLargest + 1);
  const std::vector<int32_t> row_offsets(kLargest + 1);
  const std::vector<SampleRow> rows(kLargest);
  const std::vector<int32_t> drafts(kLargest, -1);
  std::vector<int32_t> token_ids(kLargest);
  std::vector<int32_t> num_accepted(kLargest);
  auto* const words = static_cast<int32_t*>(memory.data());
  const auto graph = backend->Capture([&] {
    for (const auto& rows_of : gathers) {
      backend->GatherRows({.x = logits, .rows = rows_of, .out = logits});
    }
    backend->ProcessLogits({.logits = logits,
                            .params = params,
                            .adjusts = adjusts,
                            .adjust_offsets = offsets,
                            .allowed = allowed,
                            .allowed_offsets = other_offsets,
                            .survivors = {words, words, 1}});
    backend->SampleAndVerify({.logits = logits,
                              .survivors = {words, words, 1},
                              .rows = rows,
                              .row_offsets = row_offsets,
                              .drafts = drafts,
                              .token_ids = token_ids,
                              .num_accepted = num_accepted});
  });
  EXPECT_NE(graph, nullptr);
}

}  // namespace
}  // namespace runahead
