#include "server/vllm_metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/vllm_metric_names.h"

namespace runahead {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Bounds = std::vector<double>;

const VllmModelInfo kModel = {.name = "demo",
                              .engine = 0,
                              .max_context = 4096,
                              .block_size = 16,
                              .cache_dtype = "f32",
                              .has_prefix_cache = true};

const Bounds kTtftBounds = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                            1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
const Bounds kTokenBounds = {.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                             .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
const Bounds kRequestBounds = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                               30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Bounds kUpTo4096 = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000};

// Written from vLLM's documentation, not from the list the exporter uses.
struct Expected {
  MetricType type;
  Bounds bounds = {};  // of a histogram
  std::set<std::string> more_labels = {};
  bool is_of_a_model = true;
};

const std::map<std::string, Expected>& Table() {
  using enum MetricType;
  static const std::map<std::string, Expected> table = {
      {"vllm:num_requests_running", {Gauge}},
      {"vllm:num_requests_waiting", {Gauge}},
      {"vllm:num_requests_waiting_by_reason", {Gauge, {}, {"reason"}}},
      {"vllm:kv_cache_usage_perc", {Gauge}},
      {"vllm:cache_config_info",
       {Gauge,
        {},
        {"engine", "block_size", "num_gpu_blocks", "cache_dtype", "enable_prefix_caching"},
        false}},
      {"vllm:lora_requests_info",
       {Gauge, {}, {"max_lora", "running_lora_adapters", "waiting_lora_adapters"}, false}},
      {"vllm:num_preemptions_total", {Counter}},
      {"vllm:prefix_cache_queries_total", {Counter}},
      {"vllm:prefix_cache_hits_total", {Counter}},
      {"vllm:prompt_tokens_total", {Counter}},
      {"vllm:prompt_tokens_cached_total", {Counter}},
      {"vllm:prompt_tokens_by_source_total", {Counter, {}, {"source"}}},
      {"vllm:generation_tokens_total", {Counter}},
      {"vllm:request_success_total", {Counter, {}, {"finished_reason"}}},
      {"vllm:admission_rejections_total", {Counter, {}, {"reason"}}},
      {"vllm:spec_decode_num_drafts_total", {Counter}},
      {"vllm:spec_decode_num_draft_tokens_total", {Counter}},
      {"vllm:spec_decode_num_accepted_tokens_total", {Counter}},
      {"vllm:spec_decode_num_accepted_tokens_per_pos_total", {Counter, {}, {"position"}}},
      {"vllm:time_to_first_token_seconds", {Histogram, kTtftBounds}},
      {"vllm:inter_token_latency_seconds", {Histogram, kTokenBounds}},
      {"vllm:request_time_per_output_token_seconds", {Histogram, kTokenBounds}},
      {"vllm:e2e_request_latency_seconds", {Histogram, kRequestBounds}},
      {"vllm:request_queue_time_seconds", {Histogram, kRequestBounds}},
      {"vllm:request_inference_time_seconds", {Histogram, kRequestBounds}},
      {"vllm:request_prefill_time_seconds", {Histogram, kRequestBounds}},
      {"vllm:request_decode_time_seconds", {Histogram, kRequestBounds}},
      {"vllm:request_prompt_tokens", {Histogram, kUpTo4096}},
      {"vllm:request_generation_tokens", {Histogram, kUpTo4096}},
      {"vllm:request_max_num_generation_tokens", {Histogram, kUpTo4096}},
      {"vllm:request_params_max_tokens", {Histogram, kUpTo4096}},
      {"vllm:request_prefill_kv_computed_tokens", {Histogram, kUpTo4096}},
      {"vllm:iteration_tokens_total",
       {Histogram, {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}}},
      {"vllm:request_params_n", {Histogram, {1, 2, 5, 10, 20}}},
  };
  return table;
}

std::vector<MetricFamily> Families(const MetricsSnapshot& counts) {
  MetricFamilies out;
  AddVllmMetrics(counts, kModel, out);
  AddVllmLora(1234, out);
  return out.Take();
}

// The series of `name`; where it carries a label more, the one with this value of it.
const ClientMetric& Series(const std::vector<MetricFamily>& families, const std::string& name,
                           const std::string& value = "") {
  static const ClientMetric kNone;
  for (const MetricFamily& family : families) {
    if (family.name != name) continue;
    for (const ClientMetric& metric : family.metric) {
      if (value.empty() || metric.label.back().value == value) return metric;
    }
  }
  ADD_FAILURE() << "no series " << name << " " << value;
  return kNone;
}

TEST(VllmMetrics, NamesTypesLabelsAndBucketsAreVllms) {
  const std::vector<MetricFamily> families = Families(MetricsSnapshot());
  EXPECT_EQ(families.size(), Table().size());
  for (const MetricFamily& family : families) {
    SCOPED_TRACE(family.name);
    ASSERT_TRUE(Table().contains(family.name)) << "not vLLM's";
    const Expected& expected = Table().at(family.name);
    EXPECT_EQ(family.type, expected.type);
    std::set<std::string> labels = expected.more_labels;
    if (expected.is_of_a_model) labels.insert({"model_name", "engine"});
    for (const ClientMetric& metric : family.metric) {
      std::set<std::string> names;
      for (const auto& label : metric.label) names.insert(label.name);
      EXPECT_EQ(names, labels);
      if (family.type != MetricType::Histogram) continue;
      Bounds bounds;
      for (const auto& bucket : metric.histogram.bucket) bounds.push_back(bucket.upper_bound);
      ASSERT_TRUE(std::isinf(bounds.back()));
      bounds.pop_back();
      EXPECT_EQ(bounds, expected.bounds);
    }
  }
}

TEST(VllmMetrics, TheListForThePageIsWhatIsExported) {
  std::set<std::string> listed;
  for (const MetricInfo& info : vllm_metric::kAll) listed.insert(info.name);
  std::set<std::string> exported;
  for (const MetricFamily& family : Families(MetricsSnapshot())) exported.insert(family.name);
  EXPECT_EQ(exported, listed);
}

TEST(VllmMetrics, WhatIsLeftOutIsNotExported) {
  for (const MetricFamily& family : Families(MetricsSnapshot())) {
    for (const OmittedMetric& omitted : vllm_metric::kOmitted) {
      const std::string name = omitted.name;
      EXPECT_FALSE(family.name.starts_with(name.substr(0, name.find('*')))) << family.name;
    }
  }
}

TEST(VllmMetrics, EveryPlaceOfARequestIsCountedOnce) {
  MetricsSnapshot s;
  s.finished_stop = 1;
  s.finished_length = 2;
  s.cancelled = {3, 4};
  s.expired = {5, 6};
  s.failed = 7;
  s.waiting = 8;
  s.running = 9;
  s.rejected[static_cast<size_t>(RejectReason::kQueueFull)] = 10;
  s.rejected[static_cast<size_t>(RejectReason::kInvalid)] = 11;
  const auto families = Families(s);
  const auto ended = [&](const char* reason) {
    return Series(families, "vllm:request_success_total", reason).counter.value;
  };
  EXPECT_EQ(ended("stop"), 1);
  EXPECT_EQ(ended("length"), 2);
  EXPECT_EQ(ended("abort"), 3 + 4 + 5 + 6);
  EXPECT_EQ(ended("error"), 7);
  EXPECT_EQ(ended("repetition"), 0);
  EXPECT_EQ(Series(families, "vllm:num_requests_waiting").gauge.value, 8);
  const std::string by_reason = "vllm:num_requests_waiting_by_reason";
  EXPECT_EQ(Series(families, by_reason, "capacity").gauge.value, 8);
  EXPECT_EQ(Series(families, by_reason, "deferred").gauge.value, 0);
  EXPECT_EQ(Series(families, "vllm:num_requests_running").gauge.value, 9);
  EXPECT_EQ(Series(families, "vllm:admission_rejections_total").counter.value, 10);
}

TEST(VllmMetrics, TokensAddUpBySource) {
  MetricsSnapshot s;
  s.prompt_tokens = 100;
  s.cached_prompt_tokens = 64;
  s.generated_tokens = 30;
  s.preemptions = 2;
  s.prefix_query_tokens = 99;
  s.prefix_hit_tokens = 65;
  const auto families = Families(s);
  const std::string by_source = "vllm:prompt_tokens_by_source_total";
  EXPECT_EQ(Series(families, by_source, "local_compute").counter.value, 36);
  EXPECT_EQ(Series(families, by_source, "local_cache_hit").counter.value, 64);
  EXPECT_EQ(Series(families, by_source, "external_kv_transfer").counter.value, 0);
  EXPECT_EQ(Series(families, "vllm:prompt_tokens_total").counter.value, 100);
  EXPECT_EQ(Series(families, "vllm:prompt_tokens_cached_total").counter.value, 64);
  EXPECT_EQ(Series(families, "vllm:generation_tokens_total").counter.value, 30);
  EXPECT_EQ(Series(families, "vllm:num_preemptions_total").counter.value, 2);
  EXPECT_EQ(Series(families, "vllm:prefix_cache_queries_total").counter.value, 99);
  EXPECT_EQ(Series(families, "vllm:prefix_cache_hits_total").counter.value, 65);
}

TEST(VllmMetrics, DraftsAreSummedOverDrafters) {
  MetricsSnapshot s;
  for (const DrafterKind kind : {DrafterKind::kModel, DrafterKind::kNgram}) {
    DrafterCounts& drafter = s.drafters[static_cast<size_t>(kind)];
    drafter.drafts = 2;
    drafter.drafted_tokens = 5;
    drafter.accepted_tokens = 3;
    drafter.accepted_at = {2, 1};
  }
  const auto families = Families(s);
  EXPECT_EQ(Series(families, "vllm:spec_decode_num_drafts_total").counter.value, 4);
  EXPECT_EQ(Series(families, "vllm:spec_decode_num_draft_tokens_total").counter.value, 10);
  EXPECT_EQ(Series(families, "vllm:spec_decode_num_accepted_tokens_total").counter.value, 6);
  const std::string at = "vllm:spec_decode_num_accepted_tokens_per_pos_total";
  EXPECT_EQ(Series(families, at, "0").counter.value, 4);
  EXPECT_EQ(Series(families, at, "1").counter.value, 2);
  EXPECT_EQ(Series(families, at, "2").counter.value, 0);
}

TEST(VllmMetrics, TheCacheIsDescribedForGateways) {
  MetricsSnapshot s;
  s.num_blocks = 200;
  s.used_blocks = 50;
  const auto families = Families(s);
  EXPECT_EQ(Series(families, "vllm:kv_cache_usage_perc").gauge.value, 0.25);
  std::map<std::string, std::string> labels;
  for (const auto& label : Series(families, "vllm:cache_config_info").label) {
    labels[label.name] = label.value;
  }
  EXPECT_EQ(labels["block_size"], "16");
  EXPECT_EQ(labels["num_gpu_blocks"], "200");
  EXPECT_EQ(labels["cache_dtype"], "f32");
  EXPECT_EQ(labels["enable_prefix_caching"], "True");
  EXPECT_EQ(Series(families, "vllm:cache_config_info").gauge.value, 1);
  const ClientMetric& lora = Series(families, "vllm:lora_requests_info");
  EXPECT_EQ(lora.gauge.value, 1234);
  EXPECT_EQ(lora.label[0].value, "0");
}

//   ours  |.001|.002|.003|.005|        three observations, one each in the 2nd, 3rd and last
//   vLLM's|.001|            .005|
TEST(VllmMetrics, BucketsAreMergedNotLost) {
  MetricsSnapshot s;
  for (const double seconds : {.0015, .0025, 1e9}) s.ttft_seconds.Observe(seconds);
  const auto families = Families(s);
  const auto& ours = s.ttft_seconds;
  const auto& theirs = Series(families, "vllm:time_to_first_token_seconds").histogram;
  EXPECT_EQ(theirs.sample_count, 3u);
  EXPECT_DOUBLE_EQ(theirs.sample_sum, ours.sum);
  EXPECT_EQ(theirs.bucket[0].cumulative_count, 0u);
  EXPECT_EQ(theirs.bucket[1].cumulative_count, 2u) << ".005";
  EXPECT_EQ(theirs.bucket[theirs.bucket.size() - 2].cumulative_count, 2u);
  EXPECT_EQ(theirs.bucket.back().cumulative_count, 3u);
}

TEST(VllmMetricsDeathTest, ABoundThatIsNoneOfOursCannotBeMade) {
  const Bounds ours = {1, 2, 5};
  const HistogramCounts counts{ours};
  EXPECT_DEATH((void)MergeBuckets(counts, Bounds{3}), "no bucket ends");
  EXPECT_DEATH((void)MergeBuckets(counts, Bounds{7}), "no bucket ends");
}

}  // namespace
}  // namespace runahead
