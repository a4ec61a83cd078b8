#include "server/vllm_metrics.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "server/vllm_metric_names.h"

namespace runahead {
namespace {

constexpr double kFirstTokenBounds[] = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                                        1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
constexpr double kTokenBounds[] = {.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                                   .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
constexpr double kRequestBounds[] = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                     30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
constexpr double kStepTokenBounds[] = {1,   8,    16,   32,   64,   128,  256,
                                       512, 1024, 2048, 4096, 8192, 16384};
constexpr double kChoiceBounds[] = {1, 2, 5, 10, 20};

// 1, 2, 5, 10, 20, 50 .. as far as a context goes, or our own bounds do.
std::vector<double> TokenBounds(const HistogramCounts& counts, int max_context) {
  std::vector<double> bounds = counts.bounds;
  std::erase_if(bounds, [&](double bound) { return bound > max_context; });
  return bounds;
}

void AddVllmRequests(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  const auto total = [](const auto& counts) {
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  };
  const auto waiting = static_cast<double>(s.waiting);
  out.Gauge(vllm_metric::kRunning, labels, static_cast<double>(s.running));
  out.Gauge(vllm_metric::kWaiting, labels, waiting);
  out.Gauge(vllm_metric::kWaitingByReason, WithLabel(labels, "reason", "capacity"), waiting);
  out.Gauge(vllm_metric::kWaitingByReason, WithLabel(labels, "reason", "deferred"), 0);

  const auto ended = [&](const char* reason, uint64_t count) {
    out.Counter(vllm_metric::kRequestSuccess, WithLabel(labels, "finished_reason", reason), count);
  };
  ended("stop", s.finished_stop);
  ended("length", s.finished_length);
  ended("abort", total(s.cancelled) + total(s.expired));
  ended("error", s.failed);
  ended("repetition", 0);
  out.Counter(vllm_metric::kAdmissionRejections, WithLabel(labels, "reason", "max_num_queued_reqs"),
              s.rejected[static_cast<size_t>(RejectReason::kQueueFull)]);
}

void AddVllmTokens(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  out.Counter(vllm_metric::kPreemptions, labels, s.preemptions);
  out.Counter(vllm_metric::kPrefixQueries, labels, s.prefix_query_tokens);
  out.Counter(vllm_metric::kPrefixHits, labels, s.prefix_hit_tokens);
  out.Counter(vllm_metric::kPromptTokens, labels, s.prompt_tokens);
  out.Counter(vllm_metric::kPromptTokensCached, labels, s.cached_prompt_tokens);
  out.Counter(vllm_metric::kGenerationTokens, labels, s.generated_tokens);
  const auto from = [&](const char* source, uint64_t value) {
    out.Counter(vllm_metric::kPromptTokensBySource, WithLabel(labels, "source", source), value);
  };
  from("local_compute", s.prompt_tokens - s.cached_prompt_tokens);
  from("local_cache_hit", s.cached_prompt_tokens);
  from("external_kv_transfer", 0);
}

void AddDrafts(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  DrafterCounts all;
  for (const DrafterCounts& drafter : s.drafters) {
    all.drafts += drafter.drafts;
    all.drafted_tokens += drafter.drafted_tokens;
    all.accepted_tokens += drafter.accepted_tokens;
    for (size_t i = 0; i < all.accepted_at.size(); ++i) {
      all.accepted_at[i] += drafter.accepted_at[i];
    }
  }
  out.Counter(vllm_metric::kDrafts, labels, all.drafts);
  out.Counter(vllm_metric::kDraftTokens, labels, all.drafted_tokens);
  out.Counter(vllm_metric::kAcceptedTokens, labels, all.accepted_tokens);
  for (size_t i = 0; i < all.accepted_at.size(); ++i) {
    out.Counter(vllm_metric::kAcceptedTokensAt, WithLabel(labels, "position", std::to_string(i)),
                all.accepted_at[i]);
  }
}

void AddHistograms(const MetricsSnapshot& s, int max_context, const MetricLabels& labels,
                   MetricFamilies& out) {
  const auto add = [&](const MetricInfo& info, const HistogramCounts& counts,
                       std::span<const double> bounds) {
    out.Histogram(info, labels, MergeBuckets(counts, bounds));
  };
  add(vllm_metric::kTtft, s.ttft_seconds, kFirstTokenBounds);
  add(vllm_metric::kInterToken, s.inter_chunk_seconds, kTokenBounds);
  add(vllm_metric::kTokenSeconds, s.token_seconds, kTokenBounds);
  add(vllm_metric::kE2e, s.e2e_seconds, kRequestBounds);
  add(vllm_metric::kQueue, s.queue_seconds, kRequestBounds);
  add(vllm_metric::kInference, s.inference_seconds, kRequestBounds);
  add(vllm_metric::kPrefill, s.prefill_seconds, kRequestBounds);
  add(vllm_metric::kDecode, s.decode_seconds, kRequestBounds);
  add(vllm_metric::kStepTokens, s.batch_tokens, kStepTokenBounds);
  add(vllm_metric::kChoices, s.request_choices, kChoiceBounds);
  const auto add_tokens = [&](const MetricInfo& info, const HistogramCounts& counts) {
    add(info, counts, TokenBounds(counts, max_context));
  };
  add_tokens(vllm_metric::kPromptSize, s.request_prompt_tokens);
  add_tokens(vllm_metric::kComputedSize, s.request_computed_tokens);
  add_tokens(vllm_metric::kGenerationSize, s.request_generated_tokens);
  add_tokens(vllm_metric::kLongestSize, s.request_longest_tokens);
  add_tokens(vllm_metric::kMaxTokens, s.request_max_tokens);
}

}  // namespace

HistogramCounts MergeBuckets(const HistogramCounts& counts, std::span<const double> bounds) {
  HistogramCounts merged(bounds);
  merged.sum = counts.sum;
  merged.count = counts.count;
  size_t next = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    while (next < counts.bounds.size() && counts.bounds[next] <= bounds[i]) {
      merged.buckets[i] += counts.buckets[next++];
    }
    RA_CHECK(next > 0 && counts.bounds[next - 1] == bounds[i], "no bucket ends at this bound");
  }
  merged.buckets.back() =
      std::accumulate(counts.buckets.begin() + static_cast<std::ptrdiff_t>(next),
                      counts.buckets.end(), uint64_t{0});
  return merged;
}

void AddVllmMetrics(const MetricsSnapshot& counts, const VllmModelInfo& model,
                    MetricFamilies& out) {
  const std::string engine = std::to_string(model.engine);
  const MetricLabels labels = WithLabel(WithLabel({}, "model_name", model.name), "engine", engine);
  AddVllmRequests(counts, labels, out);
  AddVllmTokens(counts, labels, out);
  AddDrafts(counts, labels, out);
  AddHistograms(counts, model.max_context, labels, out);
  out.Gauge(vllm_metric::kUsage, labels, counts.Utilization());

  MetricLabels config = WithLabel({}, "engine", engine);
  config = WithLabel(config, "block_size", std::to_string(model.block_size));
  config = WithLabel(config, "num_gpu_blocks", std::to_string(counts.num_blocks));
  config = WithLabel(config, "cache_dtype", model.cache_dtype);
  config = WithLabel(config, "enable_prefix_caching", model.has_prefix_cache ? "True" : "False");
  out.Gauge(vllm_metric::kCacheConfig, config, 1);
}

void AddVllmLora(int64_t since_unix_seconds, MetricFamilies& out) {
  MetricLabels labels = WithLabel({}, "max_lora", "0");
  labels = WithLabel(labels, "running_lora_adapters", "");
  labels = WithLabel(labels, "waiting_lora_adapters", "");
  out.Gauge(vllm_metric::kLora, labels, static_cast<double>(since_unix_seconds));
}

}  // namespace runahead
