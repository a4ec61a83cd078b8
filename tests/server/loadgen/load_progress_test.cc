#include "server/loadgen/load_progress.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(LoadProgressTest, FillsUp) {
  EXPECT_EQ(LoadProgressLine({.num_total = 100, .num_in_flight = 8}),
            "\r[" + std::string(30, ' ') + "] 0 of 100, 8 in flight\x1b[K");
  EXPECT_EQ(
      LoadProgressLine(
          {.num_total = 100, .num_done = 50, .num_failed = 3, .num_in_flight = 8, .elapsed_s = 2}),
      "\r[" + std::string(15, '#') + std::string(15, ' ') +
          "] 50 of 100, 8 in flight, 3 failed, 25.0 requests/s\x1b[K");
}

}  // namespace
}  // namespace runahead
