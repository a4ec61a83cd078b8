// A row's bits depend neither on the rows that share its batch nor on the order in which threads,
// warps and blocks run.
#include "kernels/quantized_rows.h"
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

}  // namespace
}  // namespace runahead
