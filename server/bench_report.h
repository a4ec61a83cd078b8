// What a load's times, in seconds, amount to: percentiles, throughput, bytes per second. Pure
// functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

#include "server/bench_load.h"
#include "server/quantiles.h"

namespace runahead {

// What a decode step of the model must read.
struct StepBytes {
  int64_t weights = 0;       // once per step
  int64_t kv_per_token = 0;  // per token of context and sequence
};

struct BenchReport {
  LoadPlan plan;
  Quantiles ttft;
  Quantiles tpot;  // per request; requests of one token are left out
  Quantiles itl;   // every gap between tokens
  Quantiles e2e;
  double first_ttft = 0;      // with a shared prefix: of the request that computed it,
  double later_ttft_p50 = 0;  // and of those that found it
  double output_tokens_per_second = 0;
  double total_tokens_per_second = 0;
  double requests_per_second = 0;
  double decode_gb_per_second =
      0;  // bytes a decode step must read, over the median time between tokens
  double roofline_gb_per_second = 0;  // measured on this machine in the same run; 0: not measured
  double ratio_to_one = 0;  // output tokens/s over those of one sequence at a time; 0: not measured
};

BenchReport Summarize(const LoadPlan& plan, const LoadResult& result, const StepBytes& bytes);

std::string ToTable(const BenchReport& report);
nlohmann::ordered_json ToJson(const BenchReport& report);

}  // namespace runahead
