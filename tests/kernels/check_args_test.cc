#include "kernels/check_args.h"

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

using CheckArgsDeathTest = testing::Test;

TEST(CheckArgsDeathTest, ShapesMustAgree) {
  const Tensor x(DType::kF32, {3, 8});
  const Tensor y(DType::kF32, {3, 9});
  const std::vector<float> gain(9);
  EXPECT_DEATH(CheckArgs(RmsNormArgs{x.view(), gain.data(), 1e-5f, y.view()}), "check failed");
  EXPECT_DEATH(CheckArgs(SiluMulArgs{x.view(), x.view()}), "check failed");
}

TEST(CheckArgsDeathTest, TypesMustBeActivations) {
  const Tensor x(DType::kF16, {3, 8});
  const std::vector<float> gain(8);
  EXPECT_DEATH(CheckArgs(RmsNormArgs{x.view(), gain.data(), 1e-5f, x.view()}), "f32 or bf16");
}

TEST(CheckArgsDeathTest, LinearTakesItsInputFormat) {
  const auto backend = Make({"ref", "", 1});
  const Tensor w(DType::kF32, {4, 8});
  const TensorView parts[] = {w.view()};
  HostLinear canonical;
  canonical.parts = parts;
  const auto weight = backend->PackLinear(canonical);  // bf16, so x must be
  const Tensor x(DType::kF32, {2, 8});
  const Tensor y(DType::kF32, {2, 4});
  EXPECT_DEATH(CheckArgs(LinearArgs{x.view(), weight.get(), y.view()}), "input format");
}

TEST(CheckArgsDeathTest, BatchMustFitThePlan) {
  const std::vector<int32_t> offsets = {0, 5};
  const std::vector<int32_t> tables = {1};
  const std::vector<int32_t> lens = {4};
  BatchShape shape;
  shape.row_offsets = offsets;
  shape.context_lens = lens;
  shape.block_tables = tables;
  shape.table_stride = 1;
  const AttentionLimits limits = {1, 8, 16, 1, 1, 8};
  EXPECT_DEATH(CheckArgs(shape, limits), "check failed");  // five rows of a context of four
  const std::vector<int32_t> long_lens = {17};
  shape.context_lens = long_lens;
  EXPECT_DEATH(CheckArgs(shape, limits), "check failed");
}

TEST(CheckArgs, AcceptsWhatFits) {
  const Tensor x(DType::kBF16, {3, 8});
  const Tensor half(DType::kF32, {3, 4});
  CheckArgs(SiluMulArgs{x.view(), half.view()});
}

}  // namespace
}  // namespace runahead
