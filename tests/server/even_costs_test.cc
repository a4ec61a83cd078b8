#include "server/even_costs.h"

#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(EvenCosts, TakesTheMedianOfANumberOfRows) {
  EvenCosts costs;
  costs.Add(std::vector<TimedRun>{{1, 1}, {1, 2}, {1, 30}, {5, 2.5}, {0, 7}});
  EXPECT_DOUBLE_EQ(costs.Sum(std::vector<TimedRun>{{1, 30}, {1, 30}}), 4);
  EXPECT_DOUBLE_EQ(costs.Sum(std::vector<TimedRun>{{5, 9}, {1, 1}, {0, 7}}), 4.5);
}

// Prompts of about a size share a time per row.
TEST(EvenCosts, PricesPromptsByTheRow) {
  EvenCosts costs;
  costs.Add(std::vector<TimedRun>{{1000, 10}, {1010, 20.2}, {1020, 30.6}});
  EXPECT_DOUBLE_EQ(costs.Sum(std::vector<TimedRun>{{1005, 1}}), 20.1);
}

TEST(EvenCosts, LeavesWhatWasNeverSeen) {
  EXPECT_DOUBLE_EQ(EvenCosts().Sum(std::vector<TimedRun>{{7, 3}}), 3);
}

}  // namespace
}  // namespace runahead
