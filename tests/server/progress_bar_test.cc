#include "server/progress_bar.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(ProgressBarTest, FillsUp) {
  EXPECT_EQ(ProgressLine("Loading", 0), "\rLoading [" + std::string(40, ' ') + "] 0%");
  EXPECT_EQ(ProgressLine("Loading", 0.5),
            "\rLoading [" + std::string(20, '#') + std::string(20, ' ') + "] 50%");
  EXPECT_EQ(ProgressLine("Loading", 1), "\rLoading [" + std::string(40, '#') + "] 100%\n");
}

TEST(ProgressBarTest, StaysWithinItsBrackets) {
  EXPECT_EQ(ProgressLine("x", -1), ProgressLine("x", 0));
  EXPECT_EQ(ProgressLine("x", 1.01), ProgressLine("x", 1));
}

}  // namespace
}  // namespace runahead
