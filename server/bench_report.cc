#include "server/bench_report.h"

#include <utility>

#include "server/printed.h"

namespace runahead {
namespace {

void AppendRow(std::string& out, const char* name, const Quantiles& q) {
  out += Printed("  %-8s %10.2f %10.2f %10.2f %10.2f %10.2f\n", name, 1e3 * q.mean, 1e3 * q.p50,
                 1e3 * q.p90, 1e3 * q.p95, 1e3 * q.p99);
}

}  // namespace

BenchReport Summarize(const LoadPlan& plan, const LoadResult& result, const StepBytes& bytes) {
  std::vector<double> ttft, later_ttft, tpot, itl, e2e;
  int64_t output_tokens = 0;
  for (const RequestTimes& times : result.requests) {
    ttft.push_back(Seconds(times.ttft));
    if (times.num_cached_tokens > 0) later_ttft.push_back(ttft.back());
    e2e.push_back(Seconds(times.e2e));
    if (times.num_tokens > 1) tpot.push_back(Seconds(times.Tpot()));
    for (const Duration gap : times.gaps) itl.push_back(Seconds(gap));
    output_tokens += times.num_tokens;
  }
  const double first_ttft = ttft.front();
  BenchReport report{.plan = plan,
                     .ttft = QuantilesOf(std::move(ttft)),
                     .tpot = QuantilesOf(std::move(tpot)),
                     .itl = QuantilesOf(std::move(itl)),
                     .e2e = QuantilesOf(std::move(e2e))};
  if (plan.shared_prefix > 0 && !later_ttft.empty()) {
    report.first_ttft = first_ttft;
    report.later_ttft_p50 = QuantilesOf(std::move(later_ttft)).p50;
  }
  const double wall = Seconds(result.wall);
  const auto num_requests = static_cast<int64_t>(result.requests.size());
  report.output_tokens_per_second = static_cast<double>(output_tokens) / wall;
  report.total_tokens_per_second =
      static_cast<double>(output_tokens + num_requests * plan.input_tokens) / wall;
  report.requests_per_second = static_cast<double>(num_requests) / wall;
  if (report.itl.p50 > 0) {
    const double mean_context = plan.input_tokens + plan.output_tokens / 2.0;
    const double step_bytes =
        static_cast<double>(bytes.weights) +
        static_cast<double>(bytes.kv_per_token) * mean_context * plan.concurrency;
    report.decode_gb_per_second = step_bytes / report.itl.p50 / 1e9;
  }
  return report;
}

std::string ToTable(const BenchReport& r) {
  std::string out;
  out += Printed("%d requests, %d at a time, %d tokens in, %d out", r.plan.num_requests,
                 r.plan.concurrency, r.plan.input_tokens, r.plan.output_tokens);
  if (r.plan.shared_prefix > 0) out += Printed(", %d shared", r.plan.shared_prefix);
  out += Printed("\n  %-8s %10s %10s %10s %10s %10s\n", "ms", "mean", "p50", "p90", "p95", "p99");
  AppendRow(out, "TTFT", r.ttft);
  AppendRow(out, "TPOT", r.tpot);
  AppendRow(out, "ITL", r.itl);
  AppendRow(out, "E2E", r.e2e);
  out += Printed("  %.1f output tok/s, %.1f total tok/s, %.2f requests/s",
                 r.output_tokens_per_second, r.total_tokens_per_second, r.requests_per_second);
  if (r.ratio_to_one > 0) out += Printed(", %.2fx one at a time", r.ratio_to_one);
  out += Printed("\n  decode reads %.2f GB/s", r.decode_gb_per_second);
  if (r.roofline_gb_per_second > 0) {
    out += Printed(" of %.2f GB/s measured here (%.0f %%)", r.roofline_gb_per_second,
                   100 * r.decode_gb_per_second / r.roofline_gb_per_second);
  }
  if (r.later_ttft_p50 > 0) {
    out += Printed(
        "\n  TTFT of the first request %.2f ms, p50 of those that found its prefix %.2f ms (%.1fx)",
        1e3 * r.first_ttft, 1e3 * r.later_ttft_p50, r.first_ttft / r.later_ttft_p50);
  }
  out += "\n";
  return out;
}

nlohmann::ordered_json ToJson(const BenchReport& r) {
  return {{"num_requests", r.plan.num_requests},
          {"concurrency", r.plan.concurrency},
          {"input_tokens", r.plan.input_tokens},
          {"output_tokens", r.plan.output_tokens},
          {"shared_prefix", r.plan.shared_prefix},
          {"temperature", r.plan.temperature},
          {"ttft_seconds", ToJson(r.ttft)},
          {"tpot_seconds", ToJson(r.tpot)},
          {"itl_seconds", ToJson(r.itl)},
          {"e2e_seconds", ToJson(r.e2e)},
          {"first_ttft_seconds", r.first_ttft},
          {"later_ttft_p50_seconds", r.later_ttft_p50},
          {"output_tokens_per_second", r.output_tokens_per_second},
          {"total_tokens_per_second", r.total_tokens_per_second},
          {"requests_per_second", r.requests_per_second},
          {"decode_gb_per_second", r.decode_gb_per_second},
          {"roofline_gb_per_second", r.roofline_gb_per_second},
          {"ratio_to_one", r.ratio_to_one}};
}

}  // namespace runahead
