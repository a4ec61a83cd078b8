#include "server/loadgen/svg_plot.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(SvgPlotTest, TicksAreRound) {
  EXPECT_THAT(LinearTicks(10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(LinearTicks(11, 5), ElementsAre(0, 5, 10, 15));
  EXPECT_THAT(LinearTicks(100, 5), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_EQ(LinearTicks(0.7, 5).back(), 0.8);
  EXPECT_THAT(LogTicks(0.9, 12), ElementsAre(1, 2, 5, 10));
  EXPECT_THAT(LogTicks(0.01, 100), ElementsAre(0.01, 0.1, 1, 10, 100));
  EXPECT_EQ(TickText(0.5), "0.5");
  EXPECT_EQ(TickText(1500), "1500");
  EXPECT_EQ(TickText(15000), "15k");
  EXPECT_EQ(TickText(2.5e6), "2.5M");
}

// The area is 496 wide from 50, and 196 high above 220.
TEST(SvgPlotTest, ValuesStandWhereTheyShould) {
  Plot plot{.title = "t", .x_max = 10, .y_max = 100};
  plot.series = {{.name = "a", .x = {0, 5, 10}, .y = {0, 50, 100}, .color = "c0"}};
  EXPECT_THAT(ToSvg(plot), HasSubstr("class=\"line c0\" d=\"M50 220L298 122L546 24\""));
  plot.series = {
      {.name = "a", .x = {0, 5, 10}, .y = {50, 100}, .mark = Mark::kSteps, .color = "c1"}};
  EXPECT_THAT(ToSvg(plot), HasSubstr("class=\"line c1\" d=\"M50 122H298V24H546\""));
  EXPECT_THAT(ToSvg(plot), HasSubstr("class=\"area c1\" d=\"M50 122H298V24H546V220H50Z\""));
  plot.series = {{.name = "a", .x = {5}, .y = {25}, .mark = Mark::kDots, .color = "c2"}};
  EXPECT_THAT(ToSvg(plot), HasSubstr("<circle cx=\"298\" cy=\"171\""));
  plot.series = {{.name = "a", .x = {5}, .y = {}, .mark = Mark::kRug, .color = "bad"}};
  EXPECT_THAT(ToSvg(plot), HasSubstr("d=\"M298 220v-9\""));
}

TEST(SvgPlotTest, LogarithmsStandAtEqualDistances) {
  Plot plot{.title = "t", .is_log_x = true, .y_max = 1};
  plot.series = {{.name = "a", .x = {1, 10, 100}, .y = {1, 1, 1}, .color = "c0"}};
  EXPECT_THAT(ToSvg(plot), HasSubstr("d=\"M50 24L298 24L546 24\""));
}

TEST(SvgPlotTest, LimitsAndPointsBeyondTheEdgeAreLeftOut) {
  Plot plot{.title = "t", .x_max = 10, .y_max = 1};
  plot.limits = {{.x = 5, .label = "here"}, {.x = 20, .label = "there"}};
  plot.points = {{.x = 5, .y = 1, .hint = "p<50>", .color = "c0"}};
  const std::string svg = ToSvg(plot);
  EXPECT_THAT(svg, HasSubstr(">here<"));
  EXPECT_THAT(svg, Not(HasSubstr("there")));
  EXPECT_THAT(svg, HasSubstr("<title>p&lt;50&gt;</title>"));
}

TEST(SvgPlotTest, ManyDotsAreThinned) {
  Plot plot{.title = "t"};
  PlotSeries dots{.name = "a", .mark = Mark::kDots, .color = "c0"};
  for (int i = 0; i < 100'000; ++i) {
    dots.x.push_back(i);
    dots.y.push_back(i);
  }
  plot.series = {dots};
  EXPECT_LT(ToSvg(plot).size(), 100'000u);
}

TEST(SvgPlotTest, WidePlotsAreWider) {
  Plot plot{.title = "t", .is_wide = true, .x_max = 10, .y_max = 1};
  plot.series = {{.name = "a", .x = {0, 10}, .y = {1, 1}, .color = "c0"}};
  EXPECT_THAT(ToSvg(plot), HasSubstr("viewBox=\"0 0 1150 256\""));
  EXPECT_THAT(ToSvg(plot), HasSubstr("d=\"M50 24L1136 24\""));
}

TEST(SvgPlotTest, NothingIsDrawnAsNothing) {
  EXPECT_THAT(ToSvg({.title = "a \"b\" & <c>"}),
              HasSubstr("aria-label=\"a &quot;b&quot; &amp; &lt;c&gt;\""));
}

}  // namespace
}  // namespace runahead
