// `runahead bench speculate`: what speculation brings, side by side in one run. Start-up thread
// only.
#pragma once

#include <string>
#include <vector>

#include "core/log.h"
#include "core/status.h"
#include "server/model_settings.h"

namespace runahead {

struct SpeculateOptions {
  std::string prompts_file = "bench/prompts/demo.txt";
  // "chat": the prompts. "edit": answers that were predicted but for a few changes. "traffic": 128
  // tokens in, of which half are shared, 64 out.
  std::vector<std::string> tasks = {"chat"};
  std::vector<int> batches = {1, 2, 4, 8, 16, 32};
  std::vector<float> temperatures = {0, 0.8F};
  std::vector<int> fixed = {1, 2, 3, 4, 6, 8};  // k to compare `auto` with
  int output_tokens = 64;                       // at most; an answer may end before
  int waves = 2;                                // requests for each place of the batch
  int rounds = 3;         // times each row is measured, in turn; medians count
  std::string json_file;  // empty: tables only; "-": JSON instead of the tables
};

// Loads the pair, warms up, measures every row round by round, checks that all rows say the same,
// prints.
Status RunSpeculateBench(const ModelSettings& settings, const SpeculateOptions& options,
                         Logger& logger);

}  // namespace runahead
