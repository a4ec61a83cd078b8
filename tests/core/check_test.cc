#include "core/check.h"

#include <gtest/gtest.h>

namespace runahead {
namespace {

struct Unprintable {
  int value = 0;
  bool operator==(const Unprintable&) const = default;
};

TEST(Check, PassingChecksDoNothing) {
  RA_CHECK(true);
  RA_CHECK_EQ(1, 1);
  RA_CHECK_NE(1, 2);
  RA_CHECK_LT(1, 2);
  RA_CHECK_LE(2, 2);
  RA_CHECK_GT(2, 1);
  RA_CHECK_GE(2, 2);
}

TEST(Check, EvaluatesItsOperandsOnce) {
  int calls = 0;
  RA_CHECK_EQ(++calls, 1);
  EXPECT_EQ(calls, 1);
}

TEST(CheckDeathTest, NamesFileExpressionAndMessage) {
  EXPECT_DEATH(RA_CHECK(1 == 2, "arithmetic broke"),
               "check_test.cc:.*check failed: 1 == 2.*arithmetic broke");
}

TEST(CheckDeathTest, PrintsBothValues) {
  const int left = 3;
  EXPECT_DEATH(RA_CHECK_GE(left, 4), "left >= 4.*3 vs 4");
}

TEST(CheckDeathTest, ComparesWhatCannotBePrinted) {
  EXPECT_DEATH(RA_CHECK_EQ(Unprintable{1}, Unprintable{2}), "check failed");
}

}  // namespace
}  // namespace runahead
