#include "core/tensor_view.h"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TEST(TensorView, ShapeArithmetic) {
  std::vector<float> data(24);
  const TensorView view(data.data(), DType::kF32, {2, 3, 4});
  EXPECT_EQ(view.rank, 3);
  EXPECT_EQ(view.dim(1), 3);
  EXPECT_EQ(view.RowElements(), 12);
  EXPECT_EQ(view.NumElements(), 24);
  EXPECT_EQ(view.NumBytes(), 96);
  EXPECT_TRUE(view.IsContiguous());
}

TEST(TensorView, EmptyViewHasNoElements) {
  const TensorView view;
  EXPECT_EQ(view.NumElements(), 0);
  EXPECT_EQ(view.NumBytes(), 0);
}

// A [3, 6] matrix; `middle` names its columns 2..3:
//   0  1 [ 2  3] 4  5
//   6  7 [ 8  9] 10 11
//   12 13[14 15] 16 17
TEST(TensorView, RowStrideNamesColumnsOfAWiderMatrix) {
  std::vector<float> data(18);
  std::iota(data.begin(), data.end(), 0.0f);
  TensorView middle(data.data() + 2, DType::kF32, {3, 2});
  middle.row_stride = 6;
  EXPECT_FALSE(middle.IsContiguous());
  EXPECT_EQ(middle.Row<float>(2)[1], 15.0f);

  const TensorView last = middle.Rows(1, 2);
  EXPECT_EQ(last.dim(0), 2);
  EXPECT_EQ(last.row_stride, 6);
  EXPECT_EQ(last.Row<float>(0)[0], 8.0f);
  EXPECT_EQ(middle.Rows(3, 0).NumElements(), 0);
}

TEST(TensorView, OffsetsAreWiderThan32Bits) {
  TensorView view(nullptr, DType::kBF16, {int64_t{1} << 20, int64_t{1} << 13});
  EXPECT_EQ(view.NumElements(), int64_t{1} << 33);
  EXPECT_EQ(view.NumBytes(), int64_t{1} << 34);
}

TEST(TensorViewDeathTest, WrongTypeOrRange) {
  std::vector<float> data(4);
  const TensorView view(data.data(), DType::kF32, {2, 2});
  EXPECT_DEATH((void)view.Row<double>(0), "check failed");
  EXPECT_DEATH((void)view.Rows(1, 2), "check failed");
}

}  // namespace
}  // namespace runahead
