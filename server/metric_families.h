// MetricFamilies: builds the families of one scrape. One thread at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"

#include "engine/metrics.h"
#include "server/metric_names.h"

namespace runahead {

using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

MetricLabels WithLabel(const MetricLabels& labels, const char* name, std::string_view value);

// A family's series of several models stand together, as the format demands.
class MetricFamilies {
 public:
  void Counter(const MetricInfo& info, const MetricLabels& labels, uint64_t value);
  // A counter of seconds.
  void Seconds(const MetricInfo& info, const MetricLabels& labels, double value);
  void Gauge(const MetricInfo& info, const MetricLabels& labels, double value);
  void Histogram(const MetricInfo& info, const MetricLabels& labels, const HistogramCounts& counts);

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::MetricFamily& Family(const MetricInfo& info);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace runahead
