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
  const Tensor x(DType::kI32, {3, 8});
  const std::vector<float> gain(8);
  EXPECT_DEATH(CheckArgs(RmsNormArgs{x.view(), gain.data(), 1e-5f, x.view()}), "f32, bf16 or f16");
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

TEST(CheckArgsDeathTest, DraftRowsLieWithinTheDraftLogits) {
  const Tensor logits(DType::kF32, {2, 9});
  const Tensor draft_logits(DType::kF32, {3, 9});
  const std::vector<SampleRow> rows(2);
  const std::vector<int32_t> offsets = {0, 2};
  const std::vector<int32_t> drafts = {1, -1};
  std::vector<int32_t> tokens(2), accepted(1);
  SampleVerifyArgs args = {.logits = logits.view(),
                           .survivors = {},
                           .rows = rows,
                           .row_offsets = offsets,
                           .drafts = drafts,
                           .draft_logits = draft_logits.view(),
                           .mode = VerifyMode::kRejection,
                           .token_ids = tokens,
                           .num_accepted = accepted};
  EXPECT_DEATH(CheckArgs(args), "check failed");  // every row says where its draft came from
  const std::vector<int32_t> beyond = {3, -1};
  args.draft_rows = beyond;
  EXPECT_DEATH(CheckArgs(args), "a row of draft_logits");
  const std::vector<int32_t> last = {2, -1};
  args.draft_rows = last;
  CheckArgs(args);
  const Tensor narrow(DType::kF32, {3, 8});
  args.draft_logits = narrow.view();
  EXPECT_DEATH(CheckArgs(args), "check failed");
}

TEST(CheckArgs, AcceptsWhatFits) {
  const Tensor x(DType::kBF16, {3, 8});
  const Tensor half(DType::kF32, {3, 4});
  CheckArgs(SiluMulArgs{x.view(), half.view()});
}

}  // namespace
}  // namespace runahead
