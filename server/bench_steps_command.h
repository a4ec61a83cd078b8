// `runahead bench steps`: times single steps, one line of JSON for each measurement. Start-up
// thread only.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "server/model_settings.h"

namespace runahead {

struct BenchStepsOptions {
  // Measurements (StepSpec), "bandwidth" or "peak", in order. "-": read them from standard input,
  // one a line, and answer each before the next: whoever compares engines lets them take turns.
  std::vector<std::string> measurements = {"bandwidth",        "peak",
                                           "decode 1 128 32",  "decode 2 128 32",
                                           "decode 4 128 32",  "decode 8 128 32",
                                           "decode 16 128 32", "decode 32 128 32",
                                           "verify 5 128 16",  "prefill 512 0 3"};
};

Status RunBenchSteps(ModelSettings settings, const BenchStepsOptions& options);

}  // namespace runahead
