#include "server/loadgen/load_json.h"

#include <string_view>
#include <utility>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

// Names the form; a reader of another form would misread it.
constexpr std::string_view kFormat = "runahead-load-report-1";

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json ToJson(const RequestRow& row) {
  Json out = {{"sent_seconds", row.sent_s},         {"ttft_seconds", OrNull(row.ttft_s)},
              {"tpot_seconds", OrNull(row.tpot_s)}, {"e2e_seconds", OrNull(row.e2e_s)},
              {"prompt_tokens", row.prompt_tokens}, {"completion_tokens", row.completion_tokens},
              {"cached_tokens", row.cached_tokens}};
  if (!row.error_kind.empty()) out["error"] = row.error_kind;
  return out;
}

Json ErrorsToJson(const LoadReport& r) {
  Json out = Json::object();
  for (const auto& [kind, error] : r.errors) {
    out[kind] = {{"count", error.count}, {"example", error.example}};
  }
  return out;
}

Json GoodputToJson(const LoadReport& r) {
  if (r.slo.empty()) return nullptr;
  Json limits = Json::array();
  for (const SloShare& slo : r.slo) {
    limits.push_back({{"metric", SloMetricName(slo.limit.metric)},
                      {"limit_seconds", slo.limit.limit_s},
                      {"share", slo.share}});
  }
  return {{"requests_per_second", r.goodput_per_s},
          {"share", r.goodput_share},
          {"limits", std::move(limits)}};
}

Json DraftsToJson(const LoadReport& r) {
  if (!r.has_drafts) return nullptr;
  return {{"target_steps", r.target_steps},
          {"drafted_tokens", r.drafted_tokens},
          {"accepted_tokens", r.accepted_tokens}};
}

// Reads what ToJson wrote; its exceptions are nlohmann's, and say what is missing.
void Read(const Json& in, Quantiles& out) {
  out = {.mean = in.at("mean"),
         .p50 = in.at("p50"),
         .p90 = in.at("p90"),
         .p95 = in.at("p95"),
         .p99 = in.at("p99")};
}

std::optional<double> ReadOptional(const Json& in) {
  if (in.is_null()) return std::nullopt;
  return in.get<double>();
}

void ReadSlo(const Json& in, LoadReport& r) {
  if (in.is_null()) return;
  r.goodput_per_s = in.at("requests_per_second");
  r.goodput_share = in.at("share");
  for (const Json& limit : in.at("limits")) {
    const std::string name = limit.at("metric");
    for (const SloMetric metric :
         {SloMetric::kTtft, SloMetric::kTpot, SloMetric::kItl, SloMetric::kE2e}) {
      if (SloMetricName(metric) != name) continue;
      r.slo.push_back({{metric, limit.at("limit_seconds")}, limit.at("share")});
    }
  }
}

void ReadCounts(const Json& in, LoadReport& r) {
  r.is_open_loop = in.at("open_loop");
  r.is_interrupted = in.at("interrupted");
  r.num_requests = in.at("num_requests");
  r.num_ok = in.at("num_ok");
  for (const auto& [kind, error] : in.at("errors").items()) {
    r.errors[kind] = {.count = error.at("count"), .example = error.at("example")};
  }
  r.num_without_usage = in.at("num_without_usage");
  r.num_ttft = in.at("num_ttft");
  r.num_tpot = in.at("num_tpot");
  r.num_itl = in.at("num_itl");
  r.prompt_tokens = in.at("prompt_tokens");
  r.cached_tokens = in.at("cached_tokens");
  r.completion_tokens = in.at("completion_tokens");
  r.num_chunks = in.at("num_chunks");
  r.peak_in_flight = in.at("peak_in_flight");
  r.num_connections = in.at("num_connections");
  const Json& drafts = in.at("speculation");
  r.has_drafts = !drafts.is_null();
  if (!r.has_drafts) return;
  r.target_steps = drafts.at("target_steps");
  r.drafted_tokens = drafts.at("drafted_tokens");
  r.accepted_tokens = drafts.at("accepted_tokens");
}

void ReadTimes(const Json& in, LoadReport& r) {
  Read(in.at("ttft_seconds"), r.ttft);
  Read(in.at("tpot_seconds"), r.tpot);
  Read(in.at("itl_seconds"), r.itl);
  Read(in.at("e2e_seconds"), r.e2e);
  Read(in.at("lag_seconds"), r.lag);
  r.wall_s = in.at("wall_seconds");
  r.requests_per_s = in.at("requests_per_second");
  r.output_tokens_per_s = in.at("output_tokens_per_second");
  r.total_tokens_per_s = in.at("total_tokens_per_second");
  r.mean_in_flight = in.at("mean_in_flight");
  r.client_busy = in.at("client_busy");
  const Json& timeline = in.at("timeline");
  r.timeline = {.bin_s = timeline.at("bin_seconds"),
                .output_tokens_per_s = timeline.at("output_tokens_per_second"),
                .in_flight = timeline.at("in_flight")};
  r.gaps.counts = in.at("itl_histogram").at("counts").get<std::vector<int64_t>>();
  r.gaps.counts.resize(GapHistogram::kNumBins);
  for (const Json& row : in.at("requests")) {
    r.rows.push_back({.sent_s = row.at("sent_seconds"),
                      .ttft_s = ReadOptional(row.at("ttft_seconds")),
                      .tpot_s = ReadOptional(row.at("tpot_seconds")),
                      .e2e_s = ReadOptional(row.at("e2e_seconds")),
                      .prompt_tokens = row.at("prompt_tokens"),
                      .completion_tokens = row.at("completion_tokens"),
                      .cached_tokens = row.at("cached_tokens"),
                      .error_kind = row.value("error", "")});
  }
}

}  // namespace

nlohmann::ordered_json ToJson(const LoadReport& r) {
  Json setting = Json::object();
  for (const auto& [name, value] : r.setting) setting[name] = value;
  Json rows = Json::array();
  for (const RequestRow& row : r.rows) rows.push_back(ToJson(row));
  return {{"format", kFormat},
          {"name", r.name},
          {"setting", std::move(setting)},
          {"open_loop", r.is_open_loop},
          {"interrupted", r.is_interrupted},
          {"num_requests", r.num_requests},
          {"num_ok", r.num_ok},
          {"errors", ErrorsToJson(r)},
          {"num_without_usage", r.num_without_usage},
          {"ttft_seconds", ToJson(r.ttft)},
          {"tpot_seconds", ToJson(r.tpot)},
          {"itl_seconds", ToJson(r.itl)},
          {"e2e_seconds", ToJson(r.e2e)},
          {"num_ttft", r.num_ttft},
          {"num_tpot", r.num_tpot},
          {"num_itl", r.num_itl},
          {"wall_seconds", r.wall_s},
          {"requests_per_second", r.requests_per_s},
          {"output_tokens_per_second", r.output_tokens_per_s},
          {"total_tokens_per_second", r.total_tokens_per_s},
          {"goodput", GoodputToJson(r)},
          {"prompt_tokens", r.prompt_tokens},
          {"cached_tokens", r.cached_tokens},
          {"completion_tokens", r.completion_tokens},
          {"num_chunks", r.num_chunks},
          {"peak_in_flight", r.peak_in_flight},
          {"mean_in_flight", r.mean_in_flight},
          {"speculation", DraftsToJson(r)},
          {"client_busy", r.client_busy},
          {"lag_seconds", ToJson(r.lag)},
          {"num_connections", r.num_connections},
          {"timeline",
           {{"bin_seconds", r.timeline.bin_s},
            {"output_tokens_per_second", r.timeline.output_tokens_per_s},
            {"in_flight", r.timeline.in_flight}}},
          {"itl_histogram",
           {{"least_seconds", GapHistogram::kLeast},
            {"bins_per_decade", GapHistogram::kPerDecade},
            {"counts", r.gaps.counts}}},
          {"requests", std::move(rows)}};
}

std::string ToJsonText(const LoadReport& report) {
  return ToJson(report).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<LoadReport> ParseLoadReport(const std::string& text) {
  const Json in = Json::parse(text, nullptr, false);
  if (!in.is_object() || in.value("format", Json()) != kFormat) {
    return InvalidArgument("is no report of runahead bench serve --json");
  }
  LoadReport report;
  try {
    report.name = in.at("name");
    for (const auto& [name, value] : in.at("setting").items()) {
      report.setting.emplace_back(name, value.get<std::string>());
    }
    ReadCounts(in, report);
    ReadTimes(in, report);
    ReadSlo(in.at("goodput"), report);
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("is a damaged report: ") + error.what());
  }
  return report;
}

}  // namespace runahead
