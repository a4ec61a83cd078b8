// RunLoad: a closed loop of requests against an in-process engine, and when their tokens came. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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
  std::vector<int32_t> tokens = {};
  std::vector<int> drafts = {};  // k of each step that brought tokens

  // Time per output token after the first.
  Duration Tpot() const { return num_tokens > 1 ? (e2e - ttft) / (num_tokens - 1) : Duration{}; }
};

struct LoadResult {
  std::vector<RequestTimes> requests;  // in the order they were sent
  Duration wall = {};
};

// The index-th request, whose seed, prompt and limits are the caller's.
using RequestMaker = std::function<std::unique_ptr<Request>(size_t index)>;

// Sends num_requests requests, `concurrency` at a time. Fails with the first request that fails.
Result<LoadResult> RunRequests(Engine& engine, int num_requests, int concurrency,
                               const RequestMaker& make, const Clock& clock);

// RunRequests with the plan's random prompts.
Result<LoadResult> RunLoad(Engine& engine, const LoadPlan& plan, const Clock& clock);

}  // namespace runahead
