#include "server/loadgen/load_html.h"

#include "server/loadgen/load_plots.h"
#include "server/loadgen/load_style.h"
#include "server/loadgen/svg_plot.h"
#include "server/printed.h"

namespace runahead {
namespace {

using Reports = std::vector<LoadReport>;

std::string Cell(const char* format, double value) {
  return "<td>" + Printed(format, value) + "</td>";
}

std::string Ms(double seconds) {
  const double ms = 1e3 * seconds;
  return Printed(ms < 10 ? "%.2f" : ms < 1000 ? "%.1f" : "%.0f", ms);
}

std::string MsCell(double seconds, bool is_known) {
  return is_known ? "<td>" + Ms(seconds) + "</td>" : "<td class=\"off\">-</td>";
}

std::string Figure(double value) { return Printed(value < 1000 ? "%.1f" : "%.0f", value); }

std::string Tile(const char* name, const std::string& value, const std::string& unit,
                 const std::string& detail, bool is_bad = false) {
  return std::string("<div class=\"tile") + (is_bad ? " bad" : "") + "\"><p>" + name +
         "</p><p class=\"value\">" + value + "<small>" + unit + "</small></p><p>" +
         EscapeHtml(detail) + "</p></div>\n";
}

std::string Tiles(const LoadReport& r) {
  const int num_failed = r.num_requests - r.num_ok;
  std::string out = "<section class=\"tiles\">\n";
  out += Tile("Output", Figure(r.output_tokens_per_s), "tokens/s",
              Figure(r.total_tokens_per_s) + " with the prompts' tokens");
  out += Tile("Requests", Printed("%.2f", r.requests_per_s), "requests/s",
              Printed("%d in %.1f s", r.num_ok, r.wall_s));
  if (r.num_ttft > 0) {
    out += Tile("First token, p50", Ms(r.ttft.p50), "ms", "p99 " + Ms(r.ttft.p99) + " ms");
  }
  if (r.num_tpot > 0) {
    out += Tile("Each token after it, p50", Ms(r.tpot.p50), "ms", "p99 " + Ms(r.tpot.p99) + " ms");
  }
  if (!r.slo.empty()) {
    out += Tile("Goodput", Printed("%.2f", r.goodput_per_s), "requests/s",
                Printed("%.1f %% keep all limits", 100 * r.goodput_share));
  }
  if (r.has_drafts && r.drafted_tokens > 0) {
    out += Tile("Drafts accepted", Printed("%.1f", 100 * r.AcceptedShare()), "%",
                Printed("%.2f tokens a step", r.TokensPerStep()));
  }
  if (r.cached_tokens > 0) {
    out +=
        Tile("Prefix cache", Printed("%.1f", 100 * r.CachedShare()), "%", "of the prompt tokens");
  }
  out += Tile("Failed", std::to_string(num_failed), Printed("of %d", r.num_requests),
              num_failed > 0 ? "not in any latency" : "every request was answered", num_failed > 0);
  return out + "</section>\n";
}

std::string LatencyRow(const char* name, const Quantiles& q, int count) {
  std::string out = std::string("<tr><th>") + name + "</th>";
  for (const double value : {q.mean, q.p50, q.p90, q.p95, q.p99}) out += MsCell(value, count > 0);
  return out + "<td class=\"off\">" + std::to_string(count) + "</td></tr>\n";
}

std::string LatencyTable(const LoadReport& r) {
  return "<h2>Latency, in milliseconds</h2>\n<div class=\"card\"><table><thead><tr><th></th>"
         "<th>mean</th><th>p50</th><th>p90</th><th>p95</th><th>p99</th><th>values</th></tr></thead>"
         "<tbody>\n" +
         LatencyRow("TTFT", r.ttft, r.num_ttft) + LatencyRow("TPOT", r.tpot, r.num_tpot) +
         LatencyRow("ITL", r.itl, r.num_itl) + LatencyRow("E2E", r.e2e, r.num_ok) +
         "</tbody></table></div>\n";
}

std::string SloTable(const LoadReport& r) {
  if (r.slo.empty()) return "";
  std::string out =
      "<h2>Limits</h2>\n<div class=\"card\"><table><thead><tr><th>limit</th><th>requests that keep "
      "it</th></tr></thead><tbody>\n";
  for (const SloShare& slo : r.slo) {
    out += "<tr><th>" + std::string(SloMetricName(slo.limit.metric)) +
           Printed(" within %g ms</th><td>%.1f %%</td></tr>\n", 1e3 * slo.limit.limit_s,
                   100 * slo.share);
  }
  return out + Printed("<tr><th>all of them</th><td>%.1f %%</td></tr>\n", 100 * r.goodput_share) +
         "</tbody></table></div>\n";
}

std::string ErrorTable(const LoadReport& r) {
  if (r.errors.empty()) return "";
  std::string out =
      "<h2>Failures</h2>\n<div class=\"card\"><table><thead><tr><th>kind</th><th>requests</th><th "
      "class=\"words\">the first one's words</th></tr></thead><tbody>\n";
  for (const auto& [kind, error] : r.errors) {
    out += "<tr><th>" + EscapeHtml(kind) + "</th><td>" + std::to_string(error.count) +
           "</td><td class=\"words\">" + EscapeHtml(error.example) + "</td></tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string PlotCards(const Reports& reports) {
  std::string out = "<h2>Plots</h2>\n<section class=\"plots\">\n";
  for (const Plot& plot : MakePlots(reports)) {
    out += std::string("<figure class=\"card") + (plot.is_wide ? " wide" : "") + "\"><h3>" +
           EscapeHtml(plot.title) + "</h3>" + ToSvg(plot) + "</figure>\n";
  }
  return out + "</section>\n";
}

std::string Setting(const LoadReport& r) {
  std::string out = "<div class=\"card\"><dl>";
  for (const auto& [name, value] : r.setting) {
    if (value.empty()) continue;
    out += "<dt>" + EscapeHtml(name) + "</dt><dd>" + EscapeHtml(value) + "</dd>\n";
  }
  out += Printed("<dt>in flight</dt><dd>%d at most, %.1f on average</dd>\n", r.peak_in_flight,
                 r.mean_in_flight);
  out += Printed("<dt>tokens</dt><dd>%lld in, %lld out in %lld chunks</dd>\n",
                 static_cast<long long>(r.prompt_tokens),
                 static_cast<long long>(r.completion_tokens), static_cast<long long>(r.num_chunks));
  out += Printed("<dt>client load</dt><dd>busy %.0f %% of the time, %d connections opened",
                 100 * r.client_busy, r.num_connections);
  if (r.is_open_loop) out += Printed(", requests sent late by %s ms (p99)", Ms(r.lag.p99).c_str());
  return out + "</dd></dl></div>\n";
}

std::string ValueOf(const LoadReport& report, const std::string& name) {
  for (const auto& [key, value] : report.setting) {
    if (key == name) return value;
  }
  return "";
}

constexpr const char* kDefinitions =
    "<footer><b>TTFT</b>: from sending a request to its first chunk with text. <b>TPOT</b>: the "
    "rest "
    "of its time over the rest of its tokens, (E2E - TTFT) / (tokens - 1), one value a request. "
    "<b>ITL</b>: every gap between chunks with text, of all requests together; with speculation a "
    "chunk holds several tokens, so ITL is not TPOT. <b>E2E</b>: from sending to the last chunk. "
    "Tokens are those of the server's usage, never counted chunks. Throughput is over the whole "
    "run, "
    "its beginning and end included. Circles mark p50, p90 and p99.</footer>\n";

std::string OneRun(const LoadReport& r) {
  std::string out = "<header><p class=\"eyebrow\">Load report</p><h1>" + EscapeHtml(r.name) +
                    "</h1><p class=\"sub\">" + EscapeHtml(ValueOf(r, "server")) + " &middot; " +
                    EscapeHtml(ValueOf(r, "load")) + " &middot; " +
                    EscapeHtml(ValueOf(r, "started")) + "</p></header>\n";
  for (const std::string& warning : Warnings(r)) {
    out += "<p class=\"note\">" + EscapeHtml(warning) + "</p>\n";
  }
  return out + Tiles(r) + LatencyTable(r) + PlotCards({r}) + SloTable(r) + ErrorTable(r) +
         "<h2>Setting</h2>\n" + Setting(r);
}

std::string ComparisonRow(const LoadReport& r, size_t run) {
  std::string out = "<tr><th class=\"words\"><span class=\"key c" + std::to_string(run % 6) +
                    "\"></span>" + EscapeHtml(r.name) + "</th>";
  out += "<td>" + std::to_string(r.num_ok) + " of " + std::to_string(r.num_requests) + "</td>";
  out += Cell("%.2f", r.requests_per_s) + Cell("%.1f", r.output_tokens_per_s);
  for (const auto& [q, count] : {std::pair(r.ttft, r.num_ttft), std::pair(r.tpot, r.num_tpot),
                                 std::pair(r.itl, r.num_itl), std::pair(r.e2e, r.num_ok)}) {
    out += MsCell(q.p50, count > 0) + MsCell(q.p99, count > 0);
  }
  out += r.slo.empty() ? "<td class=\"off\">-</td>" : Cell("%.2f", r.goodput_per_s);
  return out + "</tr>\n";
}

std::string SeveralRuns(const Reports& reports) {
  std::string out = "<header><p class=\"eyebrow\">Load reports compared</p><h1>" +
                    std::to_string(reports.size()) + " runs</h1></header>\n";
  out +=
      "<h2>Side by side, latencies in milliseconds</h2>\n<div class=\"card\"><table><thead><tr>"
      "<th>run</th><th>answered</th><th>requests/s</th><th>tokens/s</th><th>TTFT p50</th><th>p99"
      "</th><th>TPOT p50</th><th>p99</th><th>ITL p50</th><th>p99</th><th>E2E p50</th><th>p99</th>"
      "<th>goodput</th></tr></thead><tbody>\n";
  for (size_t i = 0; i < reports.size(); ++i) out += ComparisonRow(reports[i], i);
  out += "</tbody></table></div>\n" + PlotCards(reports);
  for (size_t i = 0; i < reports.size(); ++i) {
    out += "<h2><span class=\"key c" + std::to_string(i % 6) + "\"></span>" +
           EscapeHtml(reports[i].name) + "</h2>\n";
    for (const std::string& warning : Warnings(reports[i])) {
      out += "<p class=\"note\">" + EscapeHtml(warning) + "</p>\n";
    }
    out += Setting(reports[i]);
  }
  return out;
}

}  // namespace

std::string ToHtml(const std::vector<LoadReport>& reports) {
  const std::string title = reports.size() == 1 ? reports[0].name : "runs compared";
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\"><title>Load: " +
         EscapeHtml(title) + "</title><style>" + kLoadStyle + "</style></head><body><main>\n" +
         (reports.size() == 1 ? OneRun(reports[0]) : SeveralRuns(reports)) + kDefinitions +
         "</main></body></html>\n";
}

}  // namespace runahead
