#include "kernels/cpu/packed_linear.h"

#include "kernels/cpu/isa.h"
#include "tests/kernels/op_fixture.h"

namespace runahead::cpu {
namespace {

TEST(PackedLinear, BytesAreThoseAnnounced) {
  ThreadPool pool(2, false);
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16}) {
    for (const int64_t n : {1, 32, 33}) {
      for (const int64_t k : {1, 2, 7}) {
        const Tensor w(DType::kF32, {n, k});
        const TensorView parts[] = {w.view()};
        HostLinear canonical;
        canonical.parts = parts;
        canonical.format = format;
        EXPECT_EQ(PackLinear(canonical, pool)->bytes(), PackedLinearBytes(n, k, format));
      }
    }
  }
}

// Weights packed by many threads are the bits packed by one: multiplying shows it.
TEST(PackedLinear, ThreadsPackWhatOneWouldHave) {
  std::mt19937 rng(1);
  const Tensor w = RandomTensor(DType::kBF16, {300, 33}, rng);
  const TensorView parts[] = {w.view()};
  HostLinear canonical;
  canonical.parts = parts;
  const Tensor x = RandomTensor(DType::kBF16, {3, 33}, rng);
  std::vector<uint8_t> expected;
  for (const int num_threads : {1, 2, 5}) {
    ThreadPool pool(num_threads, false);
    const auto weight = PackLinear(canonical, pool);
    const Tensor y(DType::kF32, {3, 300});
    Linear({.x = x.view(), .weight = weight.get(), .y = y.view()}, FindIsa("")->kernels(), pool);
    if (expected.empty()) expected = y.bytes();
    EXPECT_TRUE(y.bytes() == expected) << num_threads;
  }
}

}  // namespace
}  // namespace runahead::cpu
