#include "server/loadgen/load_plots.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/loadgen/sample_reports.h"

namespace runahead {
namespace {

using testing::ElementsAre;

std::vector<std::string> Titles(const std::vector<Plot>& plots) {
  std::vector<std::string> titles;
  for (const Plot& plot : plots) titles.push_back(plot.title);
  return titles;
}

TEST(LoadPlotsTest, ShowsTheWholeRun) {
  const std::vector<Plot> plots = MakePlots({SampleReport()});
  EXPECT_THAT(Titles(plots),
              ElementsAre("Time to first token", "Time per output token", "Whole request",
                          "Gaps between chunks", "Time to first token, over the run",
                          "Output over the run", "Requests in flight"));
  // TTFT 499 to 569 ms; the limit of 530 ms is drawn.
  EXPECT_NEAR(plots[0].series[0].x.front(), 499, 1e-6);
  EXPECT_NEAR(plots[0].series[0].x.back(), 569, 1e-6);
  EXPECT_EQ(plots[0].series[0].y.back(), 100);
  ASSERT_EQ(plots[0].limits.size(), 1u);
  EXPECT_NEAR(plots[0].limits[0].x, 530, 1e-9);
  EXPECT_TRUE(plots[1].limits.empty());
  EXPECT_EQ(plots[0].points[0].hint, "TTFT p50: 534.00 ms");
  double percent = 0;
  for (const double share : plots[3].series[0].y) percent += share;
  EXPECT_NEAR(percent, 100, 1e-9);
  EXPECT_EQ(plots[4].series.back().name, "failed");
  EXPECT_THAT(plots[4].series.back().x, ElementsAre(4));
  EXPECT_TRUE(plots[6].is_wide) << "seven do not fill two columns";
  EXPECT_FALSE(plots[5].is_wide);
  EXPECT_EQ(plots[6].series[0].x.size(), plots[6].series[0].y.size() + 1);
}

TEST(LoadPlotsTest, RunsHaveColours) {
  const std::vector<Plot> plots = MakePlots({SampleReport("a"), SampleReport("b")});
  ASSERT_EQ(plots[0].series.size(), 2u);
  EXPECT_EQ(plots[0].series[0].color, "c0");
  EXPECT_EQ(plots[0].series[1].color, "c1");
}

TEST(LoadPlotsTest, EmptyPlotsAreLeftOut) {
  LoadRun run{.wall_s = 1};
  run.records.push_back({.sent_s = 0, .last_s = 1, .ended_s = 1});  // came whole
  EXPECT_THAT(Titles(MakePlots({MakeLoadReport(run, {})})),
              ElementsAre("Whole request", "Requests in flight"));
}

TEST(LoadPlotsTest, ManyRequestsMakeNoLongCurve) {
  LoadRun run{.wall_s = 1};
  for (int i = 0; i < 10'000; ++i) {
    run.records.push_back({.sent_s = 0, .last_s = 1e-4 * i, .ended_s = 1e-4 * i});
  }
  const std::vector<Plot> plots = MakePlots({MakeLoadReport(run, {})});
  const PlotSeries& curve = plots[0].series[0];
  EXPECT_LE(curve.x.size(), 201u);
  EXPECT_TRUE(std::ranges::is_sorted(curve.x));
  EXPECT_NEAR(curve.x.back(), 999.9, 1e-6);
}

}  // namespace
}  // namespace runahead
