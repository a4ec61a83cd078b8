#include "server/metrics_exporter.h"

#include <string_view>
#include <utility>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"

#include "server/metric_names.h"

namespace runahead {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<const char*, kNumRejectReasons> kRejectNames = {
    "invalid",         "too_long",  "queue_full", "unavailable",
    "unauthenticated", "not_found", "too_large"};
constexpr std::array<const char*, kNumPhases> kPhaseNames = {"queued", "running"};

using Labels = std::vector<ClientMetric::Label>;

// Builds the families of all models; a family's series of several models stand together, as the
// format demands.
class FamilyBuilder {
 public:
  void Counter(const MetricInfo& info, const Labels& labels, uint64_t value) {
    ClientMetric metric = Labelled(labels);
    metric.counter.value = static_cast<double>(value);
    Family(info).metric.push_back(std::move(metric));
  }

  void Gauge(const MetricInfo& info, const Labels& labels, double value) {
    ClientMetric metric = Labelled(labels);
    metric.gauge.value = value;
    Family(info).metric.push_back(std::move(metric));
  }

  void Histogram(const MetricInfo& info, const Labels& labels, const HistogramCounts& counts) {
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

  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  static ClientMetric Labelled(const Labels& labels) {
    ClientMetric metric;
    metric.label = labels;
    return metric;
  }

  MetricFamily& Family(const MetricInfo& info) {
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

  std::vector<MetricFamily> families_;
};

Labels With(const Labels& labels, const char* name, std::string_view value) {
  Labels extended = labels;
  ClientMetric::Label label;
  label.name = name;
  label.value = value;
  extended.push_back(std::move(label));
  return extended;
}

void AddRequests(const MetricsSnapshot& s, const Labels& labels, FamilyBuilder& out) {
  out.Counter(metric::kReceived, labels, s.received);
  out.Counter(metric::kFinished, With(labels, "reason", "stop"), s.finished_stop);
  out.Counter(metric::kFinished, With(labels, "reason", "length"), s.finished_length);
  for (size_t i = 0; i < s.rejected.size(); ++i) {
    out.Counter(metric::kRejected, With(labels, "reason", kRejectNames[i]), s.rejected[i]);
  }
  for (size_t i = 0; i < kNumPhases; ++i) {
    out.Counter(metric::kCancelled, With(labels, "phase", kPhaseNames[i]), s.cancelled[i]);
    out.Counter(metric::kExpired, With(labels, "phase", kPhaseNames[i]), s.expired[i]);
  }
  out.Counter(metric::kFailed, labels, s.failed);
  out.Gauge(metric::kWaiting, labels, static_cast<double>(s.waiting));
  out.Gauge(metric::kRunning, labels, static_cast<double>(s.running));
}

void AddTokens(const MetricsSnapshot& s, const Labels& labels, FamilyBuilder& out) {
  out.Counter(metric::kPromptTokens, labels, s.prompt_tokens);
  out.Counter(metric::kCachedTokens, labels, s.cached_prompt_tokens);
  out.Counter(metric::kGeneratedTokens, labels, s.generated_tokens);
  out.Counter(metric::kDiscardedTokens, labels, s.discarded_tokens);
  out.Counter(metric::kPrefixQueries, labels, s.prefix_query_tokens);
  out.Counter(metric::kPrefixHits, labels, s.prefix_hit_tokens);
  out.Counter(metric::kPreemptions, labels, s.preemptions);
  out.Counter(metric::kSteps, labels, s.steps);

  const int free_blocks = s.num_blocks - s.used_blocks - s.cached_blocks;
  out.Gauge(metric::kBlocks, With(labels, "state", "used"), s.used_blocks);
  out.Gauge(metric::kBlocks, With(labels, "state", "cached"), s.cached_blocks);
  out.Gauge(metric::kBlocks, With(labels, "state", "free"), free_blocks);
  out.Gauge(metric::kUtilization, labels,
            s.num_blocks == 0 ? 0.0 : static_cast<double>(s.used_blocks) / s.num_blocks);
}

void AddTimes(const MetricsSnapshot& s, const Labels& labels, FamilyBuilder& out) {
  out.Histogram(metric::kQueueSeconds, labels, s.queue_seconds);
  out.Histogram(metric::kPrefillSeconds, labels, s.prefill_seconds);
  out.Histogram(metric::kDecodeSeconds, labels, s.decode_seconds);
  out.Histogram(metric::kTtftSeconds, labels, s.ttft_seconds);
  out.Histogram(metric::kInterTokenSeconds, labels, s.inter_token_seconds);
  out.Histogram(metric::kE2eSeconds, labels, s.e2e_seconds);
  out.Histogram(metric::kStepSeconds, labels, s.step_seconds);
  out.Histogram(metric::kHostSeconds, labels, s.host_seconds);
  out.Histogram(metric::kBatchSequences, labels, s.batch_sequences);
  out.Histogram(metric::kBatchTokens, labels, s.batch_tokens);
  out.Histogram(metric::kPromptSize, labels, s.request_prompt_tokens);
  out.Histogram(metric::kGeneratedSize, labels, s.request_generated_tokens);
}

void AddDrafter(const DrafterCounts& counts, const Labels& labels, FamilyBuilder& out) {
  out.Counter(metric::kDrafts, labels, counts.drafts);
  out.Counter(metric::kDraftTokens, labels, counts.drafted_tokens);
  out.Counter(metric::kAcceptedTokens, labels, counts.accepted_tokens);
  for (size_t i = 0; i < counts.drafted_at.size(); ++i) {
    const Labels at = With(labels, "position", std::to_string(i));
    out.Counter(metric::kDraftTokensAt, at, counts.drafted_at[i]);
    out.Counter(metric::kAcceptedTokensAt, at, counts.accepted_at[i]);
  }
  out.Histogram(metric::kAcceptedLength, labels, counts.accepted_length);
}

void AddSpeculation(const MetricsSnapshot& s, const Labels& labels, FamilyBuilder& out) {
  for (const DrafterKind kind :
       {DrafterKind::kModel, DrafterKind::kNgram, DrafterKind::kPrediction, DrafterKind::kSelf}) {
    AddDrafter(s.drafters[static_cast<size_t>(kind)], With(labels, "drafter", DrafterName(kind)),
               out);
  }
  out.Histogram(metric::kTokensPerRun, labels, s.tokens_per_run);
  out.Histogram(metric::kDraftSeconds, labels, s.draft_seconds);
  out.Histogram(metric::kVerifySeconds, labels, s.verify_seconds);
  out.Counter(metric::kCatchUpTokens, labels, s.draft_catch_up_tokens);
  out.Gauge(metric::kDraftLength, labels, s.draft_length);
  out.Gauge(metric::kLossSeconds, labels, s.speculation_loss_seconds);
  out.Gauge(metric::kResting, labels, s.speculation_rests ? 1 : 0);
}

}  // namespace

// A Collectable rather than prometheus::Family objects: those are updated one by one, and a scrape
// between two updates would see a request in two places or in none.
struct MetricsExporter::Registry final : prometheus::Collectable {
  std::vector<MetricFamily> Collect() const override {
    FamilyBuilder out;
    for (const auto& [name, metrics] : models) {
      const MetricsSnapshot snapshot = metrics->Snapshot();
      const Labels labels = With({}, "model", name);
      AddRequests(snapshot, labels, out);
      AddTokens(snapshot, labels, out);
      AddTimes(snapshot, labels, out);
      AddSpeculation(snapshot, labels, out);
    }
    Labels labels = With({}, "version", build.version);
    labels = With(labels, "backend", build.backend);
    labels = With(labels, "quantization", build.quantization);
    out.Gauge(metric::kBuildInfo, labels, 1);
    return out.Take();
  }

  BuildInfo build;
  std::vector<std::pair<std::string, const Metrics*>> models;
};

MetricsExporter::MetricsExporter(BuildInfo build) : registry_(std::make_unique<Registry>()) {
  registry_->build = std::move(build);
}

MetricsExporter::~MetricsExporter() = default;

void MetricsExporter::AddModel(std::string name, const Metrics& metrics) {
  registry_->models.emplace_back(std::move(name), &metrics);
}

std::string MetricsExporter::Scrape() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace runahead
