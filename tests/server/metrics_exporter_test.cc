#include "server/metrics_exporter.h"

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/metric_names.h"

namespace runahead {
namespace {

// Series ("name{labels}") to value, by a reader of the text format that is not the exporter's.
std::map<std::string, double> ParseScrape(const std::string& text) {
  std::map<std::string, double> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    series[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return series;
}

class MetricsExporterTest : public testing::Test {
 protected:
  MetricsExporterTest() {
    exporter_.AddModel("demo", metrics_, {.max_queue = 7, .health = [this] { return health_; }});
  }

  std::map<std::string, double> Scrape() { return ParseScrape(exporter_.Scrape()); }

  EngineHealth health_ = EngineHealth::kServing;
  Metrics metrics_;
  MetricsExporter exporter_{{.version = "1.2.3", .backend = "cpu", .quantization = "none"}};
};

TEST_F(MetricsExporterTest, EveryNameOfTheListIsExportedAndNothingElse) {
  const std::string text = exporter_.Scrape();
  std::set<std::string> typed;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) typed.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  std::set<std::string> listed;
  for (const MetricInfo& info : metric::kAll) listed.insert(info.name);
  EXPECT_EQ(typed, listed);
}

TEST_F(MetricsExporterTest, CountersCarryTheSnapshot) {
  metrics_.Update([](MetricsSnapshot& s) {
    s.received = 9;
    s.finished_stop = 3;
    s.cancelled[1] = 2;
    s.waiting = 4;
    s.num_blocks = 10;
    s.used_blocks = 5;
    s.cached_blocks = 2;
  });
  auto series = Scrape();
  EXPECT_EQ(series["runahead_requests_received_total{model=\"demo\"}"], 9);
  EXPECT_EQ(series["runahead_requests_finished_total{model=\"demo\",reason=\"stop\"}"], 3);
  EXPECT_EQ(series["runahead_requests_cancelled_total{model=\"demo\",phase=\"running\"}"], 2);
  EXPECT_EQ(series["runahead_requests_waiting{model=\"demo\"}"], 4);
  EXPECT_EQ(series["runahead_kv_cache_blocks{model=\"demo\",state=\"free\"}"], 3);
  EXPECT_EQ(series["runahead_kv_cache_utilization_ratio{model=\"demo\"}"], 0.5);
}

TEST_F(MetricsExporterTest, HistogramBucketsAreCumulativeAndEndAtTheCount) {
  metrics_.Update([](MetricsSnapshot& s) {
    s.ttft_seconds.Observe(0.0005);
    s.ttft_seconds.Observe(0.02);
    s.ttft_seconds.Observe(1e9);
  });
  const std::string prefix = "runahead_time_to_first_token_seconds";
  double last = 0;
  for (const auto& [name, value] : Scrape()) {
    if (name.starts_with(prefix + "_bucket") && name.find("+Inf") == std::string::npos) {
      EXPECT_LE(value, 2) << name;
      last = std::max(last, value);
    }
  }
  EXPECT_EQ(last, 2);
  auto series = Scrape();
  EXPECT_EQ(series[prefix + "_bucket{model=\"demo\",le=\"+Inf\"}"], 3);
  EXPECT_EQ(series[prefix + "_count{model=\"demo\"}"], 3);
}

TEST_F(MetricsExporterTest, DraftsAreToldByDrafterAndPosition) {
  metrics_.Update([](MetricsSnapshot& s) {
    DrafterCounts& model = s.drafters[static_cast<size_t>(DrafterKind::kModel)];
    model.drafts = 2;
    model.drafted_tokens = 5;
    model.accepted_tokens = 3;
    model.drafted_at[0] = model.drafted_at[1] = 2;
    model.drafted_at[2] = 1;
    model.accepted_at[0] = 2;
    model.accepted_at[1] = 1;
    model.accepted_length.Observe(2);
    model.accepted_length.Observe(1);
    s.tokens_per_run.Observe(3);
    s.draft_catch_up_tokens = 7;
    s.draft_length = 2.5;
    s.speculation_loss_seconds = -0.25;
    s.speculation_rests = true;
  });
  auto series = Scrape();
  const std::string prefix = "runahead_spec_decode_";
  const std::string model = "{model=\"demo\",drafter=\"model\"}";
  EXPECT_EQ(series[prefix + "drafts_total" + model], 2);
  EXPECT_EQ(series[prefix + "draft_tokens_total" + model], 5);
  EXPECT_EQ(series[prefix + "accepted_tokens_total" + model], 3);
  EXPECT_EQ(series[prefix + "acceptance_length_tokens_count" + model], 2);
  EXPECT_EQ(series[prefix + "acceptance_length_tokens_sum" + model], 3);
  EXPECT_EQ(series[prefix + "drafts_total{model=\"demo\",drafter=\"ngram\"}"], 0);
  const auto at = [&](const char* name, int position) {
    return series[prefix + name +
                  "_per_position_total{model=\"demo\",drafter=\"model\",position=\"" +
                  std::to_string(position) + "\"}"];
  };
  double drafted = 0;
  double accepted = 0;
  for (int i = 0; i < kMaxDrafts; ++i) {
    EXPECT_LE(at("accepted_tokens", i), at("draft_tokens", i));
    drafted += at("draft_tokens", i);
    accepted += at("accepted_tokens", i);
  }
  EXPECT_EQ(drafted, 5);
  EXPECT_EQ(accepted, 3);
  EXPECT_EQ(series[prefix + "tokens_per_step_sum{model=\"demo\"}"], 3);
  EXPECT_EQ(series[prefix + "catch_up_tokens_total{model=\"demo\"}"], 7);
  EXPECT_EQ(series[prefix + "draft_length_tokens{model=\"demo\"}"], 2.5);
  EXPECT_EQ(series[prefix + "loss_seconds{model=\"demo\"}"], -0.25);
  EXPECT_EQ(series[prefix + "resting{model=\"demo\"}"], 1);
}

TEST_F(MetricsExporterTest, OneStateOfTheEngineHolds) {
  const auto state = [this](const std::string& name) {
    return Scrape()["runahead_engine_state{model=\"demo\",state=\"" + name + "\"}"];
  };
  EXPECT_EQ(state("serving"), 1);
  EXPECT_EQ(state("stuck"), 0);
  health_ = EngineHealth::kStuck;
  EXPECT_EQ(state("serving"), 0);
  EXPECT_EQ(state("stuck"), 1);
  EXPECT_EQ(Scrape()["runahead_queue_limit_requests{model=\"demo\"}"], 7);
}

TEST_F(MetricsExporterTest, VllmsNamesStandBesideOursWhenAskedFor) {
  EXPECT_THAT(exporter_.Scrape(), testing::Not(testing::HasSubstr("vllm:")));
  MetricsExporter both({.version = "1.2.3"}, MetricsDialect::kVllm);
  Metrics second;
  both.AddModel("demo", metrics_);
  both.AddModel("other", second);
  metrics_.Update([](MetricsSnapshot& s) { s.waiting = 4; });
  second.Update([](MetricsSnapshot& s) { s.waiting = 5; });
  auto series = ParseScrape(both.Scrape());
  EXPECT_EQ(series["runahead_requests_waiting{model=\"demo\"}"], 4);
  EXPECT_EQ(series["vllm:num_requests_waiting{model_name=\"demo\",engine=\"0\"}"], 4);
  EXPECT_EQ(series["vllm:num_requests_waiting{model_name=\"other\",engine=\"1\"}"], 5);
}

TEST_F(MetricsExporterTest, ModelsShareAFamily) {
  Metrics other;
  exporter_.AddModel("other", other);
  const std::string text = exporter_.Scrape();
  const std::string type_line = "# TYPE runahead_requests_received_total counter";
  EXPECT_NE(text.find(type_line), std::string::npos);
  EXPECT_EQ(text.find(type_line), text.rfind(type_line));
  EXPECT_THAT(text, testing::HasSubstr("runahead_requests_received_total{model=\"other\"} 0"));
}

TEST_F(MetricsExporterTest, LabelValuesAreEscaped) {
  Metrics odd;
  exporter_.AddModel("a\"b\\c\nd", odd);
  EXPECT_THAT(exporter_.Scrape(), testing::HasSubstr("model=\"a\\\"b\\\\c\\nd\""));
}

TEST_F(MetricsExporterTest, BuildInfoSaysWhatRuns) {
  EXPECT_THAT(
      exporter_.Scrape(),
      testing::HasSubstr(
          "runahead_build_info{version=\"1.2.3\",backend=\"cpu\",quantization=\"none\"} 1"));
}

}  // namespace
}  // namespace runahead
