#include "server/loadgen/load_plots.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/printed.h"

namespace runahead {
namespace {

using Reports = std::vector<LoadReport>;

std::string ColorOf(size_t run) { return "c" + std::to_string(run % 6); }

// Of a value at most so many steps are drawn of a distribution: more cannot be seen.
constexpr size_t kMaxSteps = 200;

struct Distribution {
  const char* title;
  const char* name;
  SloMetric metric;
  std::optional<double> RequestRow::*value;
  Quantiles LoadReport::*quantiles;
};

constexpr Distribution kDistributions[] = {
    {"Time to first token", "TTFT", SloMetric::kTtft, &RequestRow::ttft_s, &LoadReport::ttft},
    {"Time per output token", "TPOT", SloMetric::kTpot, &RequestRow::tpot_s, &LoadReport::tpot},
    {"Whole request", "E2E", SloMetric::kE2e, &RequestRow::e2e_s, &LoadReport::e2e}};

// The share of requests (y, per cent) that took at most so long (x, ms).
PlotSeries Cumulative(const LoadReport& report, const Distribution& what, size_t run) {
  std::vector<double> values;
  for (const RequestRow& row : report.rows) {
    if (const std::optional<double>& value = row.*what.value) values.push_back(1e3 * *value);
  }
  std::ranges::sort(values);
  PlotSeries series{.name = report.name, .color = ColorOf(run)};
  if (values.empty()) return series;
  series.x.push_back(values.front());
  series.y.push_back(0);
  const size_t steps = std::min(values.size(), kMaxSteps);
  for (size_t i = 1; i <= steps; ++i) {
    const size_t rank = i * values.size() / steps;
    series.x.push_back(values[rank - 1]);
    series.y.push_back(100.0 * static_cast<double>(rank) / static_cast<double>(values.size()));
  }
  return series;
}

Plot DistributionPlot(const Reports& reports, const Distribution& what) {
  Plot plot{.title = what.title, .x_label = "ms", .y_label = "% of requests", .y_max = 100};
  for (size_t run = 0; run < reports.size(); ++run) {
    PlotSeries series = Cumulative(reports[run], what, run);
    if (series.x.empty()) continue;
    plot.series.push_back(std::move(series));
    const Quantiles& q = reports[run].*what.quantiles;
    for (const auto& [value, percent] :
         {std::pair(q.p50, 50), std::pair(q.p90, 90), std::pair(q.p99, 99)}) {
      plot.points.push_back({.x = 1e3 * value,
                             .y = static_cast<double>(percent),
                             .hint = Printed("%s p%d: %.2f ms", what.name, percent, 1e3 * value),
                             .color = ColorOf(run)});
    }
  }
  for (const SloShare& slo : reports.front().slo) {
    if (slo.limit.metric != what.metric) continue;
    plot.limits.push_back({.x = 1e3 * slo.limit.limit_s, .label = "limit"});
  }
  return plot;
}

Plot GapPlot(const Reports& reports) {
  Plot plot{.title = "Gaps between chunks",
            .x_label = "ms, logarithmic",
            .y_label = "% of gaps",
            .is_log_x = true};
  for (size_t run = 0; run < reports.size(); ++run) {
    const std::vector<int64_t>& counts = reports[run].gaps.counts;
    const auto is_used = [](int64_t count) { return count > 0; };
    const auto first = std::ranges::find_if(counts, is_used);
    if (first == counts.end()) continue;
    const auto last = std::find_if(counts.rbegin(), counts.rend(), is_used).base();
    double total = 0;
    for (const int64_t count : counts) total += static_cast<double>(count);
    PlotSeries series{.name = reports[run].name, .mark = Mark::kSteps, .color = ColorOf(run)};
    for (auto bin = first; bin != last; ++bin) {
      series.x.push_back(1e3 * GapHistogram::LowerEdge(static_cast<int>(bin - counts.begin())));
      series.y.push_back(100 * static_cast<double>(*bin) / total);
    }
    series.x.push_back(1e3 * GapHistogram::LowerEdge(static_cast<int>(last - counts.begin())));
    plot.series.push_back(std::move(series));
  }
  return plot;
}

Plot FirstTokenPlot(const Reports& reports) {
  Plot plot{.title = "Time to first token, over the run", .x_label = "s", .y_label = "ms"};
  for (const LoadReport& report : reports) plot.x_max = std::max(plot.x_max, report.wall_s);
  PlotSeries failed{.name = "failed", .mark = Mark::kRug, .color = "bad"};
  for (size_t run = 0; run < reports.size(); ++run) {
    PlotSeries series{.name = reports[run].name, .mark = Mark::kDots, .color = ColorOf(run)};
    for (const RequestRow& row : reports[run].rows) {
      if (!row.error_kind.empty()) failed.x.push_back(row.sent_s);
      if (!row.ttft_s) continue;
      series.x.push_back(row.sent_s);
      series.y.push_back(1e3 * *row.ttft_s);
    }
    if (!series.x.empty()) plot.series.push_back(std::move(series));
  }
  if (!failed.x.empty()) plot.series.push_back(std::move(failed));
  return plot;
}

Plot TimelinePlot(const Reports& reports, Plot plot, std::vector<double> Timeline::*values) {
  plot.x_label = "s";
  for (size_t run = 0; run < reports.size(); ++run) {
    const Timeline& line = reports[run].timeline;
    PlotSeries series{
        .name = reports[run].name, .y = line.*values, .mark = Mark::kSteps, .color = ColorOf(run)};
    if (!std::ranges::any_of(series.y, [](double y) { return y > 0; })) continue;
    for (size_t i = 0; i < series.y.size(); ++i) {
      series.x.push_back(line.bin_s * static_cast<double>(i));
    }
    series.x.push_back(std::max(reports[run].wall_s, series.x.back()));
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace

std::vector<Plot> MakePlots(const std::vector<LoadReport>& reports) {
  std::vector<Plot> plots;
  for (const Distribution& what : kDistributions) {
    plots.push_back(DistributionPlot(reports, what));
  }
  plots.push_back(GapPlot(reports));
  plots.push_back(FirstTokenPlot(reports));
  plots.push_back(TimelinePlot(
      reports, {.title = "Output over the run", .x_label = {}, .y_label = "tokens per second"},
      &Timeline::output_tokens_per_s));
  plots.push_back(
      TimelinePlot(reports, {.title = "Requests in flight", .x_label = {}, .y_label = "requests"},
                   &Timeline::in_flight));
  std::erase_if(plots, [](const Plot& plot) { return plot.series.empty(); });
  if (plots.size() % 2 == 1) plots.back().is_wide = true;  // they stand in pairs
  return plots;
}

}  // namespace runahead
