#include "server/units.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(UnitsTest, BytesScaleByPowersOf1024) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(1024), "1.00 KiB");
  EXPECT_EQ(Bytes(int64_t{3} << 29), "1.50 GiB");
  EXPECT_EQ(Bytes(int64_t{1} << 62), "4194304.00 TiB");
}

TEST(UnitsTest, CountsScaleByPowersOf1000) {
  EXPECT_EQ(Count(812), "812");
  EXPECT_EQ(Count(5'900'000), "5.90 M");
  EXPECT_EQ(Count(1'236'000'000), "1.24 B");
}

}  // namespace
}  // namespace runahead
