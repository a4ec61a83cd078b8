#include "server/bench_speculate.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>

#include "server/bench_load.h"
#include "server/bench_speculate_report.h"
#include "server/bench_speculate_tasks.h"
#include "server/model_host.h"
#include "server/step_recorder.h"

namespace runahead {
namespace {

constexpr int kEditTokens = 300;
constexpr size_t kRepeatTokens = 240;  // thrice within a small model's context
constexpr size_t kRepeatStart = 16;
constexpr int kTrafficOutput = 64;

using Prompts = std::vector<std::vector<int32_t>>;

// What one table serves: as many requests as prompts.
struct Work {
  std::string task;
  Prompts prompts = {};
  Prompts predictions = {};  // of rows that have them; as many as prompts, or none
  int max_tokens = 0;
  bool ignore_eos = false;
};

class SpeculateBench {
 public:
  SpeculateBench(ModelHost& host, StepRecorder& recorder, const SpeculateOptions& options,
                 Prompts prompts, const Clock& clock)
      : host_(host),
        recorder_(recorder),
        options_(options),
        prompts_(std::move(prompts)),
        clock_(clock) {}

  Result<std::vector<SpeculateTable>> Run() {
    for (const std::string& task : options_.tasks) {
      for (const float temperature : options_.temperatures) {
        RA_RETURN_IF_ERROR(RunTask(task, temperature));
      }
    }
    return std::move(tables_);
  }

 private:
  Status RunTask(const std::string& task, float temperature) {
    if (task == "chat") {
      for (const int batch : options_.batches) {
        const Work work = {.task = task,
                           .prompts = SomePrompts(static_cast<size_t>(batch * options_.waves)),
                           .max_tokens = options_.output_tokens};
        RA_RETURN_IF_ERROR(RunTable(work, temperature, batch, FixedAndAuto()));
      }
      return {};
    }
    if (task == "edit") return RunEdit(temperature);
    if (task == "repeat") {
      Work work = {.task = task,
                   .max_tokens = static_cast<int>(kRepeatTokens - kRepeatStart),
                   .ignore_eos = true};
      for (int i = 0; i < options_.waves; ++i) work.prompts.push_back(RepeatPrompt(i));
      return RunTable(work, temperature, 1, Auto());
    }
    if (task == "traffic") {
      constexpr int kBatch = 8;
      const Work work = {
          .task = task,
          .prompts = TrafficPrompts(prompts_, static_cast<size_t>(kBatch * options_.waves)),
          .max_tokens = kTrafficOutput,
          .ignore_eos = true};
      return RunTable(work, temperature, kBatch, Auto());
    }
    return InvalidArgument("no task is named \"" + task + "\": chat, edit, repeat or traffic");
  }

  // The answers' own text with a few changes is what the client predicted.
  Status RunEdit(float temperature) {
    Work work = {.task = "edit",
                 .prompts = SomePrompts(static_cast<size_t>(options_.waves)),
                 .max_tokens = kEditTokens,
                 .ignore_eos = true};
    const SpeculateVariant off = Off();
    RA_ASSIGN_OR_RETURN(const LoadResult answers, Serve(work, temperature, 1, off));
    for (size_t i = 0; i < answers.requests.size(); ++i) {
      work.predictions.push_back(WithEdits(answers.requests[i].tokens, i + 1));
    }
    std::vector<SpeculateVariant> variants = Auto();
    variants.push_back({.name = "prediction", .has_prediction = true});
    return RunTable(work, temperature, 1, variants);
  }

  static SpeculateVariant Off() {
    return {.name = "off", .params = {.mode = SpeculationMode::kOff}};
  }
  static std::vector<SpeculateVariant> Auto() { return {Off(), {.name = "auto"}}; }
  std::vector<SpeculateVariant> FixedAndAuto() const {
    std::vector<SpeculateVariant> variants = {Off()};
    for (const int k : options_.fixed) {
      variants.push_back({.name = "k=" + std::to_string(k),
                          .params = {.mode = SpeculationMode::kFixed, .max_tokens = k}});
    }
    variants.push_back({.name = "auto"});
    return variants;
  }

  Prompts SomePrompts(size_t count) const {
    Prompts some;
    for (size_t i = 0; i < count; ++i) some.push_back(prompts_[i % prompts_.size()]);
    return some;
  }

  // A text, the same again, and its beginning: what comes next is to be copied.
  std::vector<int32_t> RepeatPrompt(int index) const {
    Prompts turned = prompts_;
    std::rotate(turned.begin(), turned.begin() + index * 7 % static_cast<int>(turned.size()),
                turned.end());
    const std::vector<int32_t> text = JoinTokens(turned, kRepeatTokens);
    std::vector<int32_t> prompt = text;
    prompt.insert(prompt.end(), text.begin(), text.end());
    prompt.insert(prompt.end(), text.begin(), text.begin() + kRepeatStart);
    return prompt;
  }

  // Every measurement computes its own prompts: the salt parts it from those before.
  Result<LoadResult> Serve(const Work& work, float temperature, int batch,
                           const SpeculateVariant& variant) {
    const std::string salt = "bench-" + std::to_string(num_served_++);
    const RequestMaker make = [&](size_t index) {
      auto request = std::make_unique<Request>();
      request->id = salt + "-" + std::to_string(index);
      request->prompt = work.prompts[index];
      request->sampling.temperature = temperature;
      request->seed = index + 1;
      request->max_tokens = work.max_tokens;
      request->ignore_eos = work.ignore_eos;
      request->cache_salt = salt;
      request->speculation = variant.params;
      if (variant.has_prediction) request->prediction = work.predictions[index];
      return request;
    };
    return RunRequests(host_.engine(), static_cast<int>(work.prompts.size()), batch, make, clock_);
  }

  Status RunTable(const Work& work, float temperature, int batch,
                  const std::vector<SpeculateVariant>& variants) {
    SpeculateTable table = {.task = work.task, .temperature = temperature, .batch = batch};
    for (const SpeculateVariant& variant : variants) table.rows.push_back({.variant = variant});
    RA_RETURN_IF_ERROR(Serve(work, temperature, batch, variants.back()).status());  // warms up
    LoadResult reference;
    for (int round = 0; round < options_.rounds; ++round) {
      for (size_t i = 0; i < table.rows.size(); ++i) {
        // Whoever comes first after a pause is not always the same.
        SpeculateRow& row =
            table.rows[round == 0 ? i : (i + static_cast<size_t>(round)) % table.rows.size()];
        const MetricsSnapshot before = host_.metrics().Snapshot();
        recorder_.Take();
        RA_ASSIGN_OR_RETURN(LoadResult result, Serve(work, temperature, batch, row.variant));
        row.Add(result, before, host_.metrics().Snapshot(), recorder_.Take());
        if (round == 0 && i == 0)
          reference = std::move(result);
        else
          row.says_the_same = row.says_the_same && SaysTheSame(reference, result);
      }
    }
    PriceEvenly(table);
    Announce(table);
    tables_.push_back(std::move(table));
    return {};
  }

  static bool SaysTheSame(const LoadResult& a, const LoadResult& b) {
    return std::ranges::equal(a.requests, b.requests, {}, &RequestTimes::tokens,
                              &RequestTimes::tokens);
  }

  static void Announce(const SpeculateTable& table) {
    std::cerr << table.task << ", temperature " << table.temperature << ", batch " << table.batch
              << ":";
    for (const SpeculateRow& row : table.rows) {
      std::cerr << "  " << row.variant.name << " " << MedianOf(row.tokens_per_second) << " ("
                << MedianOf(row.at_even_cost) << ")";
    }
    std::cerr << " tok/s (at even cost)" << std::endl;
  }

  ModelHost& host_;
  StepRecorder& recorder_;
  const SpeculateOptions& options_;
  const Prompts prompts_;
  const Clock& clock_;
  std::vector<SpeculateTable> tables_;
  int num_served_ = 0;
};

Status Print(const std::vector<SpeculateTable>& tables, const std::string& json_file) {
  if (json_file == "-") {
    std::cout << ToJson(tables).dump(2) << std::endl;
    return {};
  }
  std::cout << ToTable(tables) << std::flush;
  if (json_file.empty()) return {};
  std::ofstream file(json_file);
  file << ToJson(tables).dump(2) << "\n";
  file.close();
  if (file) return {};
  return {StatusCode::kInternal, "cannot write " + json_file};
}

Status CheckOptions(const SpeculateOptions& options) {
  const auto is_positive = [](int value) { return value >= 1; };
  const auto is_k = [](int k) { return k >= 0 && k <= kMaxDrafts; };
  if (!std::ranges::all_of(options.batches, is_positive) || options.output_tokens < 1 ||
      options.waves < 1 || options.rounds < 1) {
    return InvalidArgument("batches, output tokens, waves and rounds must be at least 1");
  }
  if (!std::ranges::all_of(options.fixed, is_k)) {
    return InvalidArgument("a fixed k must be between 0 and " + std::to_string(kMaxDrafts));
  }
  return {};
}

}  // namespace

Status RunSpeculateBench(const ModelSettings& settings, const SpeculateOptions& options,
                         Logger& logger) {
  RA_RETURN_IF_ERROR(CheckOptions(options));
  const SteadyClock clock;
  StepRecorder* recorder = nullptr;
  const DeciderMaker make_decider = [&](const CostModel& costs) {
    auto made = std::make_unique<StepRecorder>(costs);
    recorder = made.get();
    return made;
  };
  RA_ASSIGN_OR_RETURN(auto host, ModelHost::Load(settings, clock, logger, nullptr, make_decider));
  for (const std::string& line : host->Describe()) std::cerr << line << "\n";
  RA_ASSIGN_OR_RETURN(Prompts prompts, LoadPrompts(options.prompts_file, host->served()));
  SpeculateBench bench(*host, *recorder, options, std::move(prompts), clock);
  RA_ASSIGN_OR_RETURN(const std::vector<SpeculateTable> tables, bench.Run());
  return Print(tables, options.json_file);
}

}  // namespace runahead
