#include "server/quantiles.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(QuantilesTest, PercentilesInterpolateBetweenOrderStatistics) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  const Quantiles q = QuantilesOf(values);
  EXPECT_DOUBLE_EQ(q.mean, 50);
  EXPECT_DOUBLE_EQ(q.p50, 50);
  EXPECT_DOUBLE_EQ(q.p90, 90);
  EXPECT_DOUBLE_EQ(q.p99, 99);
  EXPECT_DOUBLE_EQ(QuantilesOf({1, 2}).p50, 1.5);
  EXPECT_DOUBLE_EQ(QuantilesOf({7}).p99, 7);
  EXPECT_DOUBLE_EQ(QuantilesOf({}).p50, 0);
}

}  // namespace
}  // namespace runahead
