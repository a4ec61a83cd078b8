#include "server/metric_families.h"

#include <limits>
#include <utility>

namespace runahead {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric Labelled(const MetricLabels& labels) {
  ClientMetric metric;
  metric.label = labels;
  return metric;
}

}  // namespace

MetricLabels WithLabel(const MetricLabels& labels, const char* name, std::string_view value) {
  MetricLabels extended = labels;
  ClientMetric::Label label;
  label.name = name;
  label.value = value;
  extended.push_back(std::move(label));
  return extended;
}

void MetricFamilies::Counter(const MetricInfo& info, const MetricLabels& labels, uint64_t value) {
  Seconds(info, labels, static_cast<double>(value));
}

void MetricFamilies::Seconds(const MetricInfo& info, const MetricLabels& labels, double value) {
  ClientMetric metric = Labelled(labels);
  metric.counter.value = value;
  Family(info).metric.push_back(std::move(metric));
}

void MetricFamilies::Gauge(const MetricInfo& info, const MetricLabels& labels, double value) {
  ClientMetric metric = Labelled(labels);
  metric.gauge.value = value;
  Family(info).metric.push_back(std::move(metric));
}

void MetricFamilies::Histogram(const MetricInfo& info, const MetricLabels& labels,
                               const HistogramCounts& counts) {
  ClientMetric metric = Labelled(labels);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < counts.buckets.size(); ++i) {
    cumulative += counts.buckets[i];
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound =
        i < counts.bounds.size() ? counts.bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back(bucket);
  }
  metric.histogram.sample_count = counts.count;
  metric.histogram.sample_sum = counts.sum;
  Family(info).metric.push_back(std::move(metric));
}

MetricFamily& MetricFamilies::Family(const MetricInfo& info) {
  for (MetricFamily& family : families_) {
    if (family.name == info.name) return family;
  }
  MetricFamily family;
  family.name = info.name;
  family.help = info.help;
  family.type = info.kind == MetricKind::kCounter ? MetricType::Counter
                : info.kind == MetricKind::kGauge ? MetricType::Gauge
                                                  : MetricType::Histogram;
  families_.push_back(std::move(family));
  return families_.back();
}

}  // namespace runahead
