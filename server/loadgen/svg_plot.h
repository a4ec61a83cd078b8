// Plots as inline SVG, coloured by the page's style sheet. Pure functions.
#pragma once

#include <string>
#include <vector>

namespace runahead {

enum class Mark {
  kLine,
  kSteps,  // y[i] holds from x[i] to x[i + 1]: one x more than y
  kDots,
  kRug,  // short strokes on the x axis; y is not looked at
};

struct PlotSeries {
  std::string name = {};
  std::vector<double> x = {};
  std::vector<double> y = {};
  Mark mark = Mark::kLine;
  std::string color = {};  // a class of the style sheet: "c0", "c1", ... or "bad"
};

// A dot with words that show when pointed at.
struct PlotPoint {
  double x = 0;
  double y = 0;
  std::string hint = {};
  std::string color = {};
};

struct PlotLimit {  // a vertical line
  double x = 0;
  std::string label = {};
};

struct Plot {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  bool is_log_x = false;
  bool is_wide = false;  // twice as wide
  double x_max = 0;      // 0: what the series have
  double y_max = 0;
  std::vector<PlotSeries> series = {};
  std::vector<PlotPoint> points = {};
  std::vector<PlotLimit> limits = {};
};

std::string ToSvg(const Plot& plot);

// Round numbers from 0 to at least `max`, about `count` of them, 1, 2 or 5 times a power of ten
// apart. `max` > 0.
std::vector<double> LinearTicks(double max, int count);
// 1, 2 and 5 times powers of ten within [min, max]; the powers alone over more than three decades.
std::vector<double> LogTicks(double min, double max);
// Without what a reader cannot use: 0.5, 20, 1.5k.
std::string TickText(double value);

// & < > and quotes as entities.
std::string EscapeHtml(const std::string& text);

}  // namespace runahead
