// What the rows of `runahead bench speculate` amount to: medians, ratios, acceptance, and what the
// same steps come to at even cost. Pure functions.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

#include "core/speculation.h"
#include "engine/metrics.h"
#include "server/bench_load.h"
#include "server/step_recorder.h"

namespace runahead {

// One way to serve the same requests.
struct SpeculateVariant {
  std::string name;  // "off", "k=2", "auto", "prediction"
  SpeculationParams params = {};
  bool has_prediction = false;
};

// One variant's measurements; sums are over its rounds.
struct SpeculateRow {
  // What one round did and took.
  struct Round {
    double tokens = 0;
    double seconds = 0;
    StepTrace steps = {};
  };

  SpeculateVariant variant;
  std::vector<Round> rounds = {};
  std::vector<double> tokens_per_second = {};  // by round
  // The same where each run of a model takes what runs of so many rows took at the median of the
  // whole table, and all else what it took: what was chosen, without the minute it was chosen in.
  std::vector<double> at_even_cost = {};
  std::array<double, kMaxDrafts> drafted_at = {};
  std::array<double, kMaxDrafts> accepted_at = {};
  double draft_seconds = 0;   // of the drafters
  double verify_seconds = 0;  // of target steps that judged drafts
  double wall_seconds = 0;
  std::array<double, 3> drafts_over_time = {};  // sum of k over steps 0-15, 16-63, later,
  std::array<double, 3> steps_over_time = {};   // and the number of those steps
  double cached_tokens = 0;                     // prompt tokens found in the prefix cache
  bool says_the_same = true;                    // as the first row

  // One round more. `before` and `after` are the engine's metrics around it.
  void Add(const LoadResult& result, const MetricsSnapshot& before, const MetricsSnapshot& after,
           StepTrace steps);
};

// All rows that served the same requests.
struct SpeculateTable {
  std::string task;
  float temperature = 0;
  int batch = 1;
  std::vector<SpeculateRow> rows = {};  // the first is without speculation
};

double MedianOf(std::vector<double> values);

// Fills at_even_cost from all rounds of all rows.
void PriceEvenly(SpeculateTable& table);

// tokens_per_second or at_even_cost.
using SpeculateRates = std::vector<double> SpeculateRow::*;

// Of a row's median rate, to the first row's.
double RatioToOff(const SpeculateTable& table, const SpeculateRow& row,
                  SpeculateRates rates = &SpeculateRow::tokens_per_second);
// Of the policy's own row to the best fixed one; 0 where either is missing.
double RatioToBestFixed(const SpeculateTable& table,
                        SpeculateRates rates = &SpeculateRow::tokens_per_second);

// Markdown.
std::string ToTable(const std::vector<SpeculateTable>& tables);
nlohmann::ordered_json ToJson(const std::vector<SpeculateTable>& tables);

}  // namespace runahead
