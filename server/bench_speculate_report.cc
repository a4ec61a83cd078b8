#include "server/bench_speculate_report.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "server/bench_report.h"
#include "server/printed.h"

namespace runahead {
namespace {

bool IsFixed(const SpeculateRow& row) { return row.variant.params.mode == SpeculationMode::kFixed; }
bool IsAuto(const SpeculateRow& row) { return row.variant.params.mode == SpeculationMode::kAuto; }

double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

double Sum(const std::array<double, kMaxDrafts>& of) {
  return std::accumulate(of.begin(), of.end(), 0.0);
}

// "0.91 0.85 0.80": of the drafts at a position that were judged there, how many were accepted.
std::string Acceptance(const SpeculateRow& row) {
  std::string out;
  for (size_t i = 0; i < row.drafted_at.size() && row.drafted_at[i] >= 1; ++i) {
    const double judged =
        i == 0 ? row.drafted_at[0] : std::min(row.drafted_at[i], row.accepted_at[i - 1]);
    if (judged < 1) break;
    out += Printed("%s%.2f", i == 0 ? "" : " ", Share(row.accepted_at[i], judged));
  }
  return out.empty() ? "-" : out;
}

std::string OverTime(const SpeculateRow& row) {
  std::string out;
  for (size_t i = 0; i < row.steps_over_time.size(); ++i) {
    if (row.steps_over_time[i] == 0) continue;
    out += Printed("%s%.1f", i == 0 ? "" : ", ", row.drafts_over_time[i] / row.steps_over_time[i]);
  }
  return out;
}

void AppendTable(std::string& out, const SpeculateTable& table) {
  out += Printed("\n**%s, temperature %.1f, batch %d**", table.task.c_str(),
                 static_cast<double>(table.temperature), table.batch);
  if (const double ratio = RatioToBestFixed(table); ratio > 0) {
    out += Printed(" (auto is %.2f of the best fixed k)", ratio);
  }
  out +=
      "\n\n| row | tokens/s | of off | accepted by position | mean k (steps 1-16, 17-64, later) | "
      "drafting | verifying | same tokens |\n|---|---|---|---|---|---|---|---|\n";
  for (const SpeculateRow& row : table.rows) {
    out +=
        Printed("| %s | %.1f | %.2f | %s | ", row.variant.name.c_str(),
                MedianOf(row.tokens_per_second), RatioToOff(table, row), Acceptance(row).c_str());
    out += Printed("%s | %.0f %% | %.0f %% | %s |\n", OverTime(row).c_str(),
                   100 * Share(row.draft_seconds, row.wall_seconds),
                   100 * Share(row.verify_seconds, row.wall_seconds),
                   row.says_the_same ? "yes" : "NO");
  }
}

// One line a batch: what a reader wants first.
void AppendSummary(std::string& out, const std::vector<SpeculateTable>& tables) {
  out +=
      "| task | temperature | batch | off tok/s | auto tok/s | auto / off | auto / best fixed k |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const SpeculateTable& table : tables) {
    for (const SpeculateRow& row : table.rows) {
      if (!IsAuto(row)) continue;
      out += Printed("| %s%s%s | %.1f | %d | %.1f | %.1f | %.2f | ", table.task.c_str(),
                     row.variant.name == "auto" ? "" : ", ",
                     row.variant.name == "auto" ? "" : row.variant.name.c_str(),
                     static_cast<double>(table.temperature), table.batch,
                     MedianOf(table.rows.front().tokens_per_second),
                     MedianOf(row.tokens_per_second), RatioToOff(table, row));
      const double ratio = RatioToBestFixed(table);
      out += Printed(ratio > 0 ? "%.2f |\n" : "- |\n", ratio);
    }
  }
}

}  // namespace

void SpeculateRow::Add(const LoadResult& result, const MetricsSnapshot& before,
                       const MetricsSnapshot& after) {
  double tokens = 0;
  for (const RequestTimes& times : result.requests) {
    tokens += times.num_tokens;
    cached_tokens += times.num_cached_tokens;
    for (size_t step = 0; step < times.drafts.size(); ++step) {
      const size_t stretch = step < 16 ? 0 : step < 64 ? 1 : 2;
      drafts_over_time[stretch] += times.drafts[step];
      steps_over_time[stretch] += 1;
    }
  }
  wall_seconds += Seconds(result.wall);
  tokens_per_second.push_back(tokens / Seconds(result.wall));
  draft_seconds += after.draft_seconds.sum - before.draft_seconds.sum;
  verify_seconds += after.verify_seconds.sum - before.verify_seconds.sum;
  for (size_t kind = 0; kind < after.drafters.size(); ++kind) {
    for (size_t i = 0; i < drafted_at.size(); ++i) {
      drafted_at[i] += static_cast<double>(after.drafters[kind].drafted_at[i] -
                                           before.drafters[kind].drafted_at[i]);
      accepted_at[i] += static_cast<double>(after.drafters[kind].accepted_at[i] -
                                            before.drafters[kind].accepted_at[i]);
    }
  }
}

double MedianOf(std::vector<double> values) { return QuantilesOf(std::move(values)).p50; }

double RatioToOff(const SpeculateTable& table, const SpeculateRow& row) {
  return Share(MedianOf(row.tokens_per_second), MedianOf(table.rows.front().tokens_per_second));
}

double RatioToBestFixed(const SpeculateTable& table) {
  double best = 0;
  double own = 0;
  for (const SpeculateRow& row : table.rows) {
    const double rate = MedianOf(row.tokens_per_second);
    if (IsFixed(row)) best = std::max(best, rate);
    if (IsAuto(row)) own = std::max(own, rate);
  }
  // k = 0 is a fixed k too.
  if (best > 0) best = std::max(best, MedianOf(table.rows.front().tokens_per_second));
  return Share(own, best);
}

std::string ToTable(const std::vector<SpeculateTable>& tables) {
  std::string out;
  AppendSummary(out, tables);
  for (const SpeculateTable& table : tables) AppendTable(out, table);
  return out;
}

nlohmann::ordered_json ToJson(const std::vector<SpeculateTable>& tables) {
  auto out = nlohmann::ordered_json::array();
  for (const SpeculateTable& table : tables) {
    auto rows = nlohmann::ordered_json::array();
    for (const SpeculateRow& row : table.rows) {
      rows.push_back({{"name", row.variant.name},
                      {"tokens_per_second", row.tokens_per_second},
                      {"median_tokens_per_second", MedianOf(row.tokens_per_second)},
                      {"ratio_to_off", RatioToOff(table, row)},
                      {"drafted", Sum(row.drafted_at)},
                      {"accepted", Sum(row.accepted_at)},
                      {"drafted_at", row.drafted_at},
                      {"accepted_at", row.accepted_at},
                      {"draft_seconds", row.draft_seconds},
                      {"verify_seconds", row.verify_seconds},
                      {"wall_seconds", row.wall_seconds},
                      {"drafts_over_time", row.drafts_over_time},
                      {"steps_over_time", row.steps_over_time},
                      {"cached_tokens", row.cached_tokens},
                      {"says_the_same", row.says_the_same}});
    }
    out.push_back({{"task", table.task},
                   {"temperature", table.temperature},
                   {"batch", table.batch},
                   {"ratio_to_best_fixed", RatioToBestFixed(table)},
                   {"rows", rows}});
  }
  return out;
}

}  // namespace runahead
