#include "server/metrics_exporter.h"

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/text_serializer.h"

#include "server/metric_families.h"
#include "server/metric_names.h"
#include "server/vllm_metrics.h"

namespace runahead {
namespace {

constexpr std::array<const char*, kNumRejectReasons> kRejectNames = {
    "invalid",         "too_long",  "queue_full", "unavailable",
    "unauthenticated", "not_found", "too_large"};
constexpr std::array<const char*, kNumPhases> kPhaseNames = {"queued", "running"};
constexpr std::pair<EngineHealth, const char*> kStates[] = {{EngineHealth::kServing, "serving"},
                                                            {EngineHealth::kDraining, "draining"},
                                                            {EngineHealth::kStuck, "stuck"},
                                                            {EngineHealth::kFailed, "failed"},
                                                            {EngineHealth::kStopped, "stopped"}};

void AddRequests(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  out.Counter(metric::kReceived, labels, s.received);
  out.Counter(metric::kFinished, WithLabel(labels, "reason", "stop"), s.finished_stop);
  out.Counter(metric::kFinished, WithLabel(labels, "reason", "length"), s.finished_length);
  for (size_t i = 0; i < s.rejected.size(); ++i) {
    out.Counter(metric::kRejected, WithLabel(labels, "reason", kRejectNames[i]), s.rejected[i]);
  }
  for (size_t i = 0; i < kNumPhases; ++i) {
    out.Counter(metric::kCancelled, WithLabel(labels, "phase", kPhaseNames[i]), s.cancelled[i]);
    out.Counter(metric::kExpired, WithLabel(labels, "phase", kPhaseNames[i]), s.expired[i]);
  }
  out.Counter(metric::kFailed, labels, s.failed);
  out.Gauge(metric::kWaiting, labels, static_cast<double>(s.waiting));
  out.Gauge(metric::kRunning, labels, static_cast<double>(s.running));
}

void AddTokens(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  out.Counter(metric::kPromptTokens, labels, s.prompt_tokens);
  out.Counter(metric::kCachedTokens, labels, s.cached_prompt_tokens);
  out.Counter(metric::kGeneratedTokens, labels, s.generated_tokens);
  out.Counter(metric::kDiscardedTokens, labels, s.discarded_tokens);
  out.Counter(metric::kPrefixQueries, labels, s.prefix_query_tokens);
  out.Counter(metric::kPrefixHits, labels, s.prefix_hit_tokens);
  out.Counter(metric::kPreemptions, labels, s.preemptions);
  out.Counter(metric::kSteps, labels, s.steps);

  const int free_blocks = s.num_blocks - s.used_blocks - s.cached_blocks;
  out.Gauge(metric::kBlocks, WithLabel(labels, "state", "used"), s.used_blocks);
  out.Gauge(metric::kBlocks, WithLabel(labels, "state", "cached"), s.cached_blocks);
  out.Gauge(metric::kBlocks, WithLabel(labels, "state", "free"), free_blocks);
  out.Gauge(metric::kUtilization, labels, s.Utilization());
}

void AddTimes(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  out.Histogram(metric::kQueueSeconds, labels, s.queue_seconds);
  out.Histogram(metric::kPrefillSeconds, labels, s.prefill_seconds);
  out.Histogram(metric::kDecodeSeconds, labels, s.decode_seconds);
  out.Histogram(metric::kTtftSeconds, labels, s.ttft_seconds);
  out.Histogram(metric::kInterTokenSeconds, labels, s.inter_token_seconds);
  out.Histogram(metric::kInterChunkSeconds, labels, s.inter_chunk_seconds);
  out.Histogram(metric::kInferenceSeconds, labels, s.inference_seconds);
  out.Histogram(metric::kTokenSeconds, labels, s.token_seconds);
  out.Histogram(metric::kE2eSeconds, labels, s.e2e_seconds);
  out.Histogram(metric::kStepSeconds, labels, s.step_seconds);
  out.Histogram(metric::kHostSeconds, labels, s.host_seconds);
  out.Histogram(metric::kBatchSequences, labels, s.batch_sequences);
  out.Histogram(metric::kBatchTokens, labels, s.batch_tokens);
}

void AddSizes(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  out.Histogram(metric::kPromptSize, labels, s.request_prompt_tokens);
  out.Histogram(metric::kComputedSize, labels, s.request_computed_tokens);
  out.Histogram(metric::kGeneratedSize, labels, s.request_generated_tokens);
  out.Histogram(metric::kLongestSize, labels, s.request_longest_tokens);
  out.Histogram(metric::kMaxTokens, labels, s.request_max_tokens);
  out.Histogram(metric::kChoices, labels, s.request_choices);
}

void AddDrafter(const DrafterCounts& counts, const MetricLabels& labels, MetricFamilies& out) {
  out.Counter(metric::kDrafts, labels, counts.drafts);
  out.Counter(metric::kDraftTokens, labels, counts.drafted_tokens);
  out.Counter(metric::kAcceptedTokens, labels, counts.accepted_tokens);
  for (size_t i = 0; i < counts.drafted_at.size(); ++i) {
    const MetricLabels at = WithLabel(labels, "position", std::to_string(i));
    out.Counter(metric::kDraftTokensAt, at, counts.drafted_at[i]);
    out.Counter(metric::kAcceptedTokensAt, at, counts.accepted_at[i]);
  }
  out.Histogram(metric::kAcceptedLength, labels, counts.accepted_length);
}

void AddSpeculation(const MetricsSnapshot& s, const MetricLabels& labels, MetricFamilies& out) {
  for (const DrafterKind kind :
       {DrafterKind::kModel, DrafterKind::kNgram, DrafterKind::kPrediction, DrafterKind::kSelf}) {
    AddDrafter(s.drafters[static_cast<size_t>(kind)],
               WithLabel(labels, "drafter", DrafterName(kind)), out);
  }
  out.Histogram(metric::kTokensPerRun, labels, s.tokens_per_run);
  out.Histogram(metric::kDraftSeconds, labels, s.draft_seconds);
  out.Histogram(metric::kVerifySeconds, labels, s.verify_seconds);
  out.Counter(metric::kCatchUpTokens, labels, s.draft_catch_up_tokens);
  out.Gauge(metric::kDraftLength, labels, s.draft_length);
  out.Gauge(metric::kLossSeconds, labels, s.speculation_loss_seconds);
  out.Seconds(metric::kBookedSeconds, labels, s.speculation_booked_seconds);
  out.Gauge(metric::kResting, labels, s.speculation_rests ? 1 : 0);
}

void AddFacts(const ModelFacts& facts, const MetricLabels& labels, MetricFamilies& out) {
  out.Gauge(metric::kQueueLimit, labels, facts.max_queue);
  if (!facts.health) return;
  const EngineHealth health = facts.health();
  for (const auto& [state, name] : kStates) {
    out.Gauge(metric::kEngineState, WithLabel(labels, "state", name), state == health ? 1 : 0);
  }
}

}  // namespace

// A Collectable rather than prometheus::Family objects: those are updated one by one, and a scrape
// between two updates would see a request in two places or in none.
struct MetricsExporter::Registry final : prometheus::Collectable {
  struct Model {
    std::string name;
    const Metrics* metrics;
    ModelFacts facts;
  };

  std::vector<prometheus::MetricFamily> Collect() const override {
    MetricFamilies out;
    for (size_t i = 0; i < models.size(); ++i) {
      const Model& model = models[i];
      const MetricsSnapshot snapshot = model.metrics->Snapshot();
      const MetricLabels labels = WithLabel({}, "model", model.name);
      AddRequests(snapshot, labels, out);
      AddTokens(snapshot, labels, out);
      AddTimes(snapshot, labels, out);
      AddSizes(snapshot, labels, out);
      AddSpeculation(snapshot, labels, out);
      AddFacts(model.facts, labels, out);
      if (dialect == MetricsDialect::kVllm) AddVllmMetrics(snapshot, VllmInfo(i), out);
    }
    if (dialect == MetricsDialect::kVllm) AddVllmLora(since_unix_seconds, out);
    MetricLabels labels = WithLabel({}, "version", build.version);
    labels = WithLabel(labels, "backend", build.backend);
    labels = WithLabel(labels, "quantization", build.quantization);
    out.Gauge(metric::kBuildInfo, labels, 1);
    return out.Take();
  }

  VllmModelInfo VllmInfo(size_t index) const {
    const Model& model = models[index];
    return {.name = model.name,
            .engine = static_cast<int>(index),
            .max_context = model.facts.max_context,
            .block_size = model.facts.block_size,
            .cache_dtype = model.facts.cache_dtype,
            .has_prefix_cache = model.facts.has_prefix_cache};
  }

  BuildInfo build;
  MetricsDialect dialect = MetricsDialect::kNative;
  int64_t since_unix_seconds = 0;
  std::vector<Model> models;
};

MetricsExporter::MetricsExporter(BuildInfo build, MetricsDialect dialect)
    : registry_(std::make_unique<Registry>()) {
  registry_->build = std::move(build);
  registry_->dialect = dialect;
  registry_->since_unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                                      std::chrono::system_clock::now().time_since_epoch())
                                      .count();
}

MetricsExporter::~MetricsExporter() = default;

void MetricsExporter::AddModel(std::string name, const Metrics& metrics, ModelFacts facts) {
  registry_->models.push_back({std::move(name), &metrics, std::move(facts)});
}

std::string MetricsExporter::Scrape() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace runahead
