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
    out += Printed(" (auto is %.2f of the best fixed k, at even cost %.2f)", ratio,
                   RatioToBestFixed(table, &SpeculateRow::at_even_cost));
  }
  out +=
      "\n\n| row | tokens/s | of off | at even cost | of off | accepted by position | "
      "mean k (steps 1-16, 17-64, later) | drafting | verifying | same tokens |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n";
  for (const SpeculateRow& row : table.rows) {
    out +=
        Printed("| %s | %.1f | %.2f | %.1f | %.2f | %s | ", row.variant.name.c_str(),
                MedianOf(row.tokens_per_second), RatioToOff(table, row), MedianOf(row.at_even_cost),
                RatioToOff(table, row, &SpeculateRow::at_even_cost), Acceptance(row).c_str());
    out += Printed("%s | %.0f %% | %.0f %% | %s |\n", OverTime(row).c_str(),
                   100 * Share(row.draft_seconds, row.wall_seconds),
                   100 * Share(row.verify_seconds, row.wall_seconds),
                   row.says_the_same ? "yes" : "NO");
  }
}

// One line a batch: what a reader wants first.
void AppendSummary(std::string& out, const std::vector<SpeculateTable>& tables) {
  out +=
      "| task | temperature | batch | off tok/s | auto tok/s | auto / off | at even cost | "
      "auto / best fixed k | at even cost |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const SpeculateTable& table : tables) {
    for (const SpeculateRow& row : table.rows) {
      if (!IsAuto(row)) continue;
      out +=
          Printed("| %s%s%s | %.1f | %d | %.1f | %.1f | %.2f | %.2f | ", table.task.c_str(),
                  row.variant.name == "auto" ? "" : ", ",
                  row.variant.name == "auto" ? "" : row.variant.name.c_str(),
                  static_cast<double>(table.temperature), table.batch,
                  MedianOf(table.rows.front().tokens_per_second), MedianOf(row.tokens_per_second),
                  RatioToOff(table, row), RatioToOff(table, row, &SpeculateRow::at_even_cost));
      const double ratio = RatioToBestFixed(table);
      out += ratio > 0 ? Printed("%.2f | %.2f |\n", ratio,
                                 RatioToBestFixed(table, &SpeculateRow::at_even_cost))
                       : "- | - |\n";
    }
  }
}

}  // namespace

void SpeculateRow::Add(const LoadResult& result, const MetricsSnapshot& before,
                       const MetricsSnapshot& after, StepTrace steps) {
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
  rounds.push_back({tokens, Seconds(result.wall), std::move(steps)});
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

void PriceEvenly(SpeculateTable& table) {
  EvenCosts target;
  EvenCosts draft;
  for (const SpeculateRow& row : table.rows) {
    for (const SpeculateRow::Round& round : row.rounds) {
      target.Add(round.steps.target);
      draft.Add(round.steps.draft);
    }
  }
  const auto measured = [](std::span<const TimedRun> runs) {
    double sum = 0;
    for (const TimedRun& run : runs) sum += run.seconds;
    return sum;
  };
  for (SpeculateRow& row : table.rows) {
    row.at_even_cost.clear();
    for (const auto& [tokens, seconds, steps] : row.rounds) {
      const double others = seconds - measured(steps.target) - measured(steps.draft);
      row.at_even_cost.push_back(tokens /
                                 (others + target.Sum(steps.target) + draft.Sum(steps.draft)));
    }
  }
}

double RatioToOff(const SpeculateTable& table, const SpeculateRow& row, SpeculateRates rates) {
  return Share(MedianOf(row.*rates), MedianOf(table.rows.front().*rates));
}

double RatioToBestFixed(const SpeculateTable& table, SpeculateRates rates) {
  double best = 0;
  double own = 0;
  for (const SpeculateRow& row : table.rows) {
    const double rate = MedianOf(row.*rates);
    if (IsFixed(row)) best = std::max(best, rate);
    if (IsAuto(row)) own = std::max(own, rate);
  }
  // k = 0 is a fixed k too.
  if (best > 0) best = std::max(best, MedianOf(table.rows.front().*rates));
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
      rows.push_back(
          {{"name", row.variant.name},
           {"tokens_per_second", row.tokens_per_second},
           {"median_tokens_per_second", MedianOf(row.tokens_per_second)},
           {"ratio_to_off", RatioToOff(table, row)},
           {"at_even_cost", row.at_even_cost},
           {"ratio_to_off_at_even_cost", RatioToOff(table, row, &SpeculateRow::at_even_cost)},
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
    out.push_back(
        {{"task", table.task},
         {"temperature", table.temperature},
         {"batch", table.batch},
         {"ratio_to_best_fixed", RatioToBestFixed(table)},
         {"ratio_to_best_fixed_at_even_cost", RatioToBestFixed(table, &SpeculateRow::at_even_cost)},
         {"rows", rows}});
  }
  return out;
}

}  // namespace runahead
