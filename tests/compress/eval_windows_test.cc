#include "compress/eval_windows.h"

#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(EvalWindowsTest, AShortTextIsOneWindow) {
  EXPECT_EQ(SlidingWindows(5, 8, 4), (std::vector<EvalWindow>{{0, 1, 5}}));
  EXPECT_EQ(SlidingWindows(8, 8, 4), (std::vector<EvalWindow>{{0, 1, 8}}));
  EXPECT_EQ(SlidingWindows(2, 8, 4), (std::vector<EvalWindow>{{0, 1, 2}}));
}

TEST(EvalWindowsTest, NothingToPredictIsNoWindow) {
  EXPECT_TRUE(SlidingWindows(0, 8, 4).empty());
  EXPECT_TRUE(SlidingWindows(1, 8, 4).empty());
}

TEST(EvalWindowsTest, TheDrawingOfTheHeader) {
  EXPECT_EQ(SlidingWindows(16, 8, 4),
            (std::vector<EvalWindow>{{0, 1, 8}, {4, 8, 12}, {8, 12, 16}}));
}

// Every token but the first is scored once, in order, after `window - stride` others, or all there
// are; no window is too long.
TEST(EvalWindowsTest, EveryTokenIsScoredOnce) {
  for (int window = 2; window <= 9; ++window) {
    for (int stride = 1; stride < window; ++stride) {
      for (int num_tokens = 0; num_tokens < 40; ++num_tokens) {
        int next = 1;
        for (const EvalWindow& w : SlidingWindows(num_tokens, window, stride)) {
          EXPECT_EQ(w.first_scored, next);
          EXPECT_GT(w.end, w.first_scored);
          EXPECT_LE(w.end - w.begin, window);
          EXPECT_GE(w.begin, 0);
          EXPECT_TRUE(w.begin == 0 || w.first_scored - w.begin >= window - stride);
          next = w.end;
        }
        EXPECT_EQ(next, num_tokens > 1 ? num_tokens : 1);
      }
    }
  }
}

}  // namespace
}  // namespace runahead
