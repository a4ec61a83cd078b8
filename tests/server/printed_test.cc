#include "server/printed.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(PrintedTest, PrintsAndCuts) {
  EXPECT_EQ(Printed("%d of %.1f %s", 3, 4.25, "x"), "3 of 4.2 x");
  EXPECT_EQ(Printed("%s", std::string(1000, 'y').c_str()), std::string(399, 'y'));
}

}  // namespace
}  // namespace runahead
