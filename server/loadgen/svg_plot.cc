#include "server/loadgen/svg_plot.h"

#include <algorithm>
#include <cmath>

#include "server/printed.h"

namespace runahead {
namespace {

constexpr double kWidth = 560;
constexpr double kWideWidth = 1150;  // two and what stands between them
constexpr double kHeight = 256;
constexpr double kLeft = 50;
constexpr double kRight = 14;
constexpr double kTop = 24;
constexpr double kBottom = 36;

double WidthOf(const Plot& plot) { return plot.is_wide ? kWideWidth : kWidth; }
constexpr size_t kMaxDots = 1500;

std::string Num(double value) {
  std::string text = Printed("%.1f", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

// From values to places in the picture.
class Scale {
 public:
  explicit Scale(const Plot& plot)
      : right_(WidthOf(plot) - kRight), is_log_(plot.is_log_x), x_max_(plot.x_max) {
    x_min_ = is_log_ ? HUGE_VAL : 0;
    y_max_ = plot.y_max;
    for (const PlotSeries& series : plot.series) {
      for (const double x : series.x) {
        if (plot.x_max <= 0) x_max_ = std::max(x_max_, x);
        if (is_log_ && x > 0) x_min_ = std::min(x_min_, x);
      }
      if (plot.y_max > 0 || series.mark == Mark::kRug) continue;
      for (const double y : series.y) y_max_ = std::max(y_max_, y);
    }
    if (!(x_max_ > 0)) x_max_ = 1;
    if (is_log_ && !(x_min_ < x_max_)) x_min_ = x_max_ / 10;
    if (!(y_max_ > 0)) y_max_ = 1;
    y_ticks_ = LinearTicks(y_max_, 5);
    if (plot.y_max <= 0) y_max_ = y_ticks_.back();
  }

  double X(double x) const {
    const double share =
        is_log_ ? std::log(std::max(x, x_min_) / x_min_) / std::log(x_max_ / x_min_) : x / x_max_;
    return kLeft + std::clamp(share, 0.0, 1.0) * (right_ - kLeft);
  }
  double Y(double y) const {
    return kHeight - kBottom - std::clamp(y / y_max_, 0.0, 1.0) * (kHeight - kTop - kBottom);
  }
  double right() const { return right_; }
  bool ShowsX(double x) const { return x <= x_max_ * (1 + 1e-9); }
  std::vector<double> x_ticks() const {
    return is_log_ ? LogTicks(x_min_, x_max_) : LinearTicks(x_max_, 6);
  }
  const std::vector<double>& y_ticks() const { return y_ticks_; }

 private:
  double right_ = 0;  // where the plot ends
  bool is_log_ = false;
  double x_min_ = 0;
  double x_max_ = 0;
  double y_max_ = 0;
  std::vector<double> y_ticks_;
};

std::string Text(const char* classes, const char* anchor, double x, double y,
                 const std::string& text) {
  return Printed("<text class=\"%s\" text-anchor=\"%s\" x=\"%s\" y=\"%s\">", classes, anchor,
                 Num(x).c_str(), Num(y).c_str()) +
         EscapeHtml(text) + "</text>";
}

std::string Line(const char* classes, double x1, double y1, double x2, double y2) {
  return Printed("<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>", classes,
                 Num(x1).c_str(), Num(y1).c_str(), Num(x2).c_str(), Num(y2).c_str());
}

std::string Axes(const Plot& plot, const Scale& scale) {
  std::string out;
  for (const double tick : scale.y_ticks()) {
    if (tick > scale.y_ticks().back()) break;
    out += Line("grid", kLeft, scale.Y(tick), scale.right(), scale.Y(tick));
    out += Text("tick", "end", kLeft - 7, scale.Y(tick) + 4, TickText(tick));
  }
  for (const double tick : scale.x_ticks()) {
    if (!scale.ShowsX(tick)) continue;
    out += Line("axis", scale.X(tick), kHeight - kBottom, scale.X(tick), kHeight - kBottom + 4);
    out += Text("tick", "middle", scale.X(tick), kHeight - kBottom + 16, TickText(tick));
  }
  out += Line("axis", kLeft, kHeight - kBottom, scale.right(), kHeight - kBottom);
  out += Text("label", "end", scale.right(), kHeight - 3, plot.x_label);
  return out + Text("label", "start", 2, 10, plot.y_label);
}

std::string PathOf(const PlotSeries& series, const Scale& scale) {
  std::string path;
  double last_y = 0;
  for (size_t i = 0; i < series.x.size(); ++i) {
    const std::string x = Num(scale.X(series.x[i]));
    if (series.mark == Mark::kSteps && i > 0) path += "H" + x;
    if (i < series.y.size()) last_y = series.y[i];
    if (series.mark == Mark::kSteps && i >= series.y.size()) break;
    const std::string y = Num(scale.Y(last_y));
    if (i == 0) {
      path += "M" + x + " " + y;
    } else {
      path += series.mark == Mark::kSteps ? "V" + y : "L" + x + " " + y;
    }
  }
  return path;
}

std::string DrawSteps(const PlotSeries& series, const Scale& scale) {
  const std::string path = PathOf(series, scale);
  const std::string base = Num(scale.Y(0));
  return "<path class=\"area " + series.color + "\" d=\"" + path + "V" + base + "H" +
         Num(scale.X(series.x.front())) + "Z\"/><path class=\"line " + series.color + "\" d=\"" +
         path + "\"/>";
}

std::string DrawDots(const PlotSeries& series, const Scale& scale) {
  std::string out = "<g class=\"dots " + series.color + "\">";
  const size_t stride = 1 + series.x.size() / kMaxDots;
  for (size_t i = 0; i < series.x.size(); i += stride) {
    out += "<circle cx=\"" + Num(scale.X(series.x[i])) + "\" cy=\"" + Num(scale.Y(series.y[i])) +
           "\" r=\"2.2\"/>";
  }
  return out + "</g>";
}

std::string DrawRug(const PlotSeries& series, const Scale& scale) {
  std::string path;
  const size_t stride = 1 + series.x.size() / kMaxDots;
  for (size_t i = 0; i < series.x.size(); i += stride) {
    path += "M" + Num(scale.X(series.x[i])) + " " + Num(scale.Y(0)) + "v-9";
  }
  return "<path class=\"line " + series.color + "\" d=\"" + path + "\"/>";
}

std::string Draw(const PlotSeries& series, const Scale& scale) {
  if (series.x.empty()) return "";
  switch (series.mark) {
    case Mark::kLine:
      return "<path class=\"line " + series.color + "\" d=\"" + PathOf(series, scale) + "\"/>";
    case Mark::kSteps:
      return DrawSteps(series, scale);
    case Mark::kDots:
      return DrawDots(series, scale);
    case Mark::kRug:
      return DrawRug(series, scale);
  }
  return "";
}

}  // namespace

std::string ToSvg(const Plot& plot) {
  const Scale scale(plot);
  std::string out =
      Printed("<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", WidthOf(plot), kHeight);
  out += EscapeHtml(plot.title) + "\">" + Axes(plot, scale);
  for (const PlotSeries& series : plot.series) out += Draw(series, scale);
  for (const PlotLimit& limit : plot.limits) {
    if (!scale.ShowsX(limit.x)) continue;
    const double x = scale.X(limit.x);
    const bool is_left = x > WidthOf(plot) / 2;  // so that the words stay inside
    out += Line("limit", x, kTop, x, kHeight - kBottom);
    out += Text("limit-label", is_left ? "end" : "start", x + (is_left ? -5 : 5),
                kHeight - kBottom - 7, limit.label);
  }
  for (const PlotPoint& point : plot.points) {
    if (!scale.ShowsX(point.x)) continue;
    out += "<circle class=\"point " + point.color + "\" cx=\"" + Num(scale.X(point.x)) +
           "\" cy=\"" + Num(scale.Y(point.y)) + "\" r=\"4\"><title>" + EscapeHtml(point.hint) +
           "</title></circle>";
  }
  return out + "</svg>";
}

std::vector<double> LinearTicks(double max, int count) {
  const double least = max / count;
  const double decade = std::pow(10, std::floor(std::log10(least)));
  double step = 10 * decade;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * decade >= least * (1 - 1e-9)) step = factor * decade;
  }
  std::vector<double> ticks;
  const int last = static_cast<int>(std::ceil(max / step * (1 - 1e-9)));
  for (int i = 0; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

std::vector<double> LogTicks(double min, double max) {
  const bool is_wide = max / min > 1e3;
  std::vector<double> ticks;
  for (double decade = std::pow(10, std::floor(std::log10(min))); decade <= max; decade *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * decade;
      const bool is_inside = tick >= min * (1 - 1e-9) && tick <= max * (1 + 1e-9);
      if (is_inside && (factor == 1 || !is_wide)) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::string TickText(double value) {
  if (value >= 1e6) return Printed("%gM", value / 1e6);
  if (value >= 1e4) return Printed("%gk", value / 1e3);
  return Printed("%.4g", value);
}

std::string EscapeHtml(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace runahead
