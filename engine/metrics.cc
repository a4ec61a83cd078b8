#include "engine/metrics.h"

#include <algorithm>
#include <numeric>

namespace runahead {
namespace {

// Every list also holds the bounds of the vLLM series that are made of it (server/vllm_metrics.cc):
// buckets can be merged, never split.

// Seconds until a first token: 1 ms is resolved, an hour of queueing still has a bucket.
constexpr double kFirstTokenBounds[] = {.001, .002, .003, .005, .0075, .01, .015, .02, .03,
                                        .04,  .05,  .06,  .08,  .1,    .15, .2,   .25, .3,
                                        .5,   .75,  1,    1.5,  2,     2.5, 5,    7.5, 10,
                                        15,   20,   30,   40,   60,    80,  160,  640, 2560};
// Seconds of a whole request, or of a long part of it.
constexpr double kRequestBounds[] = {.001, .002, .003, .005, .0075, .01, .015, .02,  .03,
                                     .05,  .075, .1,   .15,  .2,    .3,  .5,   .8,   1,
                                     1.5,  2,    2.5,  5,    7.5,   10,  15,   20,   30,
                                     40,   50,   60,   120,  240,   480, 960,  1920, 7680};
// Seconds between tokens, and of a step: 2000 tokens/s and 2 tokens/s both show.
constexpr double kStepBounds[] = {.0005, .001, .002, .003, .004, .005, .006, .008, .01, .0125, .015,
                                  .02,   .025, .03,  .04,  .05,  .075, .1,   .15,  .2,  .3,    .4,
                                  .5,    .75,  1,    2.5,  5,    7.5,  10,   20,   40,  80};
// Seconds of host work in a step, around the budget of 150 us.
constexpr double kHostBounds[] = {1e-6, 2e-6,   5e-6, 1e-5, 2e-5, 3e-5, 5e-5,   6e-5,
                                  1e-4, 1.5e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2.5e-3, 1e-2};
constexpr double kSequenceBounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
constexpr double kBatchTokenBounds[] = {1,   8,    16,   32,   64,   128,  256,
                                        512, 1024, 2048, 4096, 8192, 16384};
constexpr double kRequestTokenBounds[] = {1,     2,      5,      10,     20,     50,    100,
                                          200,   500,    1000,   2000,   5000,   10000, 20000,
                                          50000, 100000, 200000, 500000, 1000000};
constexpr double kChoiceBounds[] = {1, 2, 5, 10, 20, 50, 100};

// Tokens of a draft that were accepted, and tokens one target step gave a sequence.
constexpr double kDraftBounds[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};

}  // namespace

HistogramCounts::HistogramCounts(std::span<const double> upper_bounds)
    : bounds(upper_bounds.begin(), upper_bounds.end()), buckets(upper_bounds.size() + 1, 0) {}

void HistogramCounts::Observe(double value, uint64_t times) {
  // A bound belongs to its bucket, as in Prometheus' `le`.
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  buckets[static_cast<size_t>(bucket)] += times;
  sum += value * static_cast<double>(times);
  count += times;
}

DrafterCounts::DrafterCounts() : accepted_length(kDraftBounds) {}

MetricsSnapshot::MetricsSnapshot()
    : queue_seconds(kRequestBounds),
      prefill_seconds(kRequestBounds),
      decode_seconds(kRequestBounds),
      ttft_seconds(kFirstTokenBounds),
      inter_token_seconds(kStepBounds),
      inter_chunk_seconds(kStepBounds),
      inference_seconds(kRequestBounds),
      token_seconds(kStepBounds),
      e2e_seconds(kRequestBounds),
      step_seconds(kStepBounds),
      batch_sequences(kSequenceBounds),
      batch_tokens(kBatchTokenBounds),
      host_seconds(kHostBounds),
      request_prompt_tokens(kRequestTokenBounds),
      request_computed_tokens(kRequestTokenBounds),
      request_generated_tokens(kRequestTokenBounds),
      request_longest_tokens(kRequestTokenBounds),
      request_max_tokens(kRequestTokenBounds),
      request_choices(kChoiceBounds),
      draft_seconds(kStepBounds),
      verify_seconds(kStepBounds),
      tokens_per_run(kDraftBounds) {}

double MetricsSnapshot::Utilization() const {
  return num_blocks == 0 ? 0.0 : static_cast<double>(used_blocks) / num_blocks;
}

uint64_t MetricsSnapshot::Accounted() const {
  const auto total = [](const auto& counts) {
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  };
  return finished_stop + finished_length + total(rejected) + total(cancelled) + total(expired) +
         failed + waiting + running;
}

void Metrics::CountRejected(RejectReason reason) {
  const std::lock_guard lock(mutex_);
  ++snapshot_.received;
  ++snapshot_.rejected[static_cast<size_t>(reason)];
}

void Metrics::CountSubmitted() {
  const std::lock_guard lock(mutex_);
  ++snapshot_.received;
  ++snapshot_.submitted;
}

MetricsSnapshot Metrics::Snapshot() const {
  const std::lock_guard lock(mutex_);
  MetricsSnapshot copy = snapshot_;
  copy.waiting += copy.submitted - copy.admitted;
  return copy;
}

}  // namespace runahead
