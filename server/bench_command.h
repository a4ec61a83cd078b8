// `runahead bench`: offline throughput and latency of the engine in this process. Start-up thread
// only.
#pragma once

#include <string>

#include "core/log.h"
#include "core/status.h"
#include "server/bench_load.h"
#include "server/model_settings.h"

namespace runahead {

struct BenchOptions {
  LoadPlan load;
  bool compare_to_one = true;  // with concurrency > 1: run one sequence at a time first
  std::string json_file;  // empty: table only; "-": JSON on standard output instead of the table
};

// Warms up, measures the machine's read bandwidth, runs, prints.
Status RunBenchCommand(const ModelSettings& settings, const BenchOptions& options, Logger& logger);

}  // namespace runahead
