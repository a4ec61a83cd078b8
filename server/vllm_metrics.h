// The counts of one model in vLLM's names, labels and buckets. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/metrics.h"
#include "server/metric_families.h"

namespace runahead {

// What vLLM's labels and buckets say of a model besides its counts.
struct VllmModelInfo {
  std::string name;
  int engine = 0;  // models are numbered as they were added
  int max_context = 0;
  int block_size = 0;
  std::string cache_dtype;
  bool has_prefix_cache = false;
};

void AddVllmMetrics(const MetricsSnapshot& counts, const VllmModelInfo& model, MetricFamilies& out);

// The one series that is about the server. `since_unix_seconds`: when it began to serve.
void AddVllmLora(int64_t since_unix_seconds, MetricFamilies& out);

// The same counts in fewer buckets: `bounds` ascend, and each is one of counts.bounds.
HistogramCounts MergeBuckets(const HistogramCounts& counts, std::span<const double> bounds);

}  // namespace runahead
