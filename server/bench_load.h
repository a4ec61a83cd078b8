// RunLoad: a closed loop of requests against an in-process engine, and when their tokens came. One
// thread.
#pragma once

#include <cstdint>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "engine/engine.h"

namespace runahead {

struct LoadPlan {
  int num_requests = 16;
  int concurrency = 1;      // requests in flight at once
  int input_tokens = 128;   // prompt length
  int output_tokens = 128;  // generated, whatever the model would like
  int shared_prefix = 0;    // leading prompt tokens that all requests have in common
  float temperature = 0;
  uint64_t seed = 1;  // of the random prompts
};

struct RequestTimes {
  Duration ttft = {};
  Duration e2e = {};
  std::vector<Duration> gaps;  // between tokens; the tokens of one step come together
  int num_tokens = 0;
  int num_cached_tokens = 0;

  // Time per output token after the first.
  Duration Tpot() const { return num_tokens > 1 ? (e2e - ttft) / (num_tokens - 1) : Duration{}; }
};

struct LoadResult {
  std::vector<RequestTimes> requests;  // in the order they were sent
  Duration wall = {};
};

// Fails with the first request that fails.
Result<LoadResult> RunLoad(Engine& engine, const LoadPlan& plan, const Clock& clock);

}  // namespace runahead
