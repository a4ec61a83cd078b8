#include "server/loadgen/load_table.h"

#include <algorithm>

#include "server/printed.h"

namespace runahead {
namespace {

std::string Row(const char* name, const Quantiles& q, int count) {
  if (count == 0) return Printed("  %-6s %9s\n", name, "-");
  return Printed("  %-6s %9.2f %9.2f %9.2f %9.2f %9.2f %9d\n", name, 1e3 * q.mean, 1e3 * q.p50,
                 1e3 * q.p90, 1e3 * q.p95, 1e3 * q.p99, count);
}

std::string TokenLines(const LoadReport& r) {
  std::string out = Printed(
      "  %lld prompt tokens (%.0f %% from the prefix cache), %lld output tokens in %lld "
      "chunks (%.2f each)\n",
      static_cast<long long>(r.prompt_tokens), 100 * r.CachedShare(),
      static_cast<long long>(r.completion_tokens), static_cast<long long>(r.num_chunks),
      r.TokensPerChunk());
  if (!r.has_drafts) return out;
  if (r.drafted_tokens == 0) return out + "  speculation: no drafts\n";
  return out +
         Printed("  speculation: %lld of %lld drafts accepted (%.1f %%), %.2f tokens a step\n",
                 static_cast<long long>(r.accepted_tokens),
                 static_cast<long long>(r.drafted_tokens), 100 * r.AcceptedShare(),
                 r.TokensPerStep());
}

std::string GoodputLine(const LoadReport& r) {
  if (r.slo.empty()) return "";
  std::string out =
      Printed("  goodput %.2f requests/s, %.1f %% within", r.goodput_per_s, 100 * r.goodput_share);
  for (const SloShare& slo : r.slo) {
    out += Printed(" %s %g ms (%.1f %%)", std::string(SloMetricName(slo.limit.metric)).c_str(),
                   1e3 * slo.limit.limit_s, 100 * slo.share);
  }
  return out + "\n";
}

}  // namespace

std::string ToTable(const LoadReport& r) {
  std::string out;
  for (const auto& [name, value] : r.setting) {
    if (value.empty()) continue;
    out += Printed("%-12s ", name.c_str()) + value + "\n";
  }
  out += Printed("\n  %-6s %9s %9s %9s %9s %9s %9s\n", "ms", "mean", "p50", "p90", "p95", "p99",
                 "values");
  out += Row("TTFT", r.ttft, r.num_ttft);
  out += Row("TPOT", r.tpot, r.num_tpot);
  out += Row("ITL", r.itl, r.num_itl);
  out += Row("E2E", r.e2e, r.num_ok);
  out += Printed(
      "\n  %d of %d requests answered in %.2f s: %.2f requests/s, %.1f output tok/s, "
      "%.1f total tok/s\n",
      r.num_ok, r.num_requests, r.wall_s, r.requests_per_s, r.output_tokens_per_s,
      r.total_tokens_per_s);
  out += GoodputLine(r) + TokenLines(r);
  out += Printed(
      "  in flight: %d at most, %.1f on average; the client was busy %.0f %% of the "
      "time and opened %d connections",
      r.peak_in_flight, r.mean_in_flight, 100 * r.client_busy, r.num_connections);
  if (r.is_open_loop) out += Printed("; sent late by %.2f ms (p99)", 1e3 * r.lag.p99);
  out += "\n";
  for (const auto& [kind, error] : r.errors) {
    out += Printed("  error: %d x %s: ", error.count, kind.c_str()) + error.example + "\n";
  }
  for (const std::string& warning : Warnings(r)) out += "  note: " + warning + "\n";
  return out;
}

std::string ToComparison(const std::vector<LoadReport>& reports) {
  size_t width = 4;
  for (const LoadReport& r : reports) width = std::max(width, std::min<size_t>(r.name.size(), 40));
  const int name_width = static_cast<int>(width);
  std::string out =
      Printed("%-*s %11s %9s %9s %9s %9s %9s %9s %9s %7s\n", name_width, "run", "answered", "req/s",
              "out tok/s", "TTFT p50", "TTFT p99", "TPOT p50", "ITL p99", "E2E p50", "goodput");
  for (const LoadReport& r : reports) {
    const std::string answered = std::to_string(r.num_ok) + "/" + std::to_string(r.num_requests);
    out += Printed("%-*.*s %11s %9.2f %9.1f %9.2f %9.2f %9.2f %9.2f %9.2f ", name_width, name_width,
                   r.name.c_str(), answered.c_str(), r.requests_per_s, r.output_tokens_per_s,
                   1e3 * r.ttft.p50, 1e3 * r.ttft.p99, 1e3 * r.tpot.p50, 1e3 * r.itl.p99,
                   1e3 * r.e2e.p50);
    out += r.slo.empty() ? Printed("%7s\n", "-") : Printed("%7.2f\n", r.goodput_per_s);
  }
  return out;
}

}  // namespace runahead
