// Host work of one engine step, the models' time left out: mail, draft policy, scheduling,
// drafters' tasks, the runner's input, booking, counts and events. The budget is 150 us a step at
// 64 sequences.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/log.h"
#include "engine/engine_door.h"
#include "engine/engine_loop.h"
#include "engine/timeline_slot.h"

namespace runahead {
namespace {

constexpr int kContext = 2048;
constexpr int kVocab = 32000;

// The text of every sequence: a token depends on its position alone.
int32_t TokenAt(int position) {
  return static_cast<int32_t>(static_cast<uint32_t>(position) * 2654435761u % kVocab);
}

// Says the text; takes no time, or spins for what a small model's step would take.
class TextRunner final : public StepRunner {
 public:
  explicit TextRunner(std::chrono::nanoseconds per_step, std::chrono::nanoseconds per_row)
      : per_step_(per_step), per_row_(per_row) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    const auto start = std::chrono::steady_clock::now();
    auto time = per_step_;
    output_.token_ids.clear();
    output_.offsets.assign(1, 0);
    for (const SequenceRun& run : runs) {
      time += per_row_ * static_cast<int64_t>(run.tokens.size());
      if (run.wants_token) Verify(run);
      output_.offsets.push_back(static_cast<int32_t>(output_.token_ids.size()));
    }
    output_.logprobs.resize(output_.token_ids.size());
    output_.prompt_logprobs.resize(runs.size());
    while (std::chrono::steady_clock::now() - start < time && time.count() > 0) {
    }
    return output_;
  }
  void CopyBlocks(std::span<const int32_t>, std::span<const int32_t>) override {}

 private:
  void Verify(const SequenceRun& run) {
    const auto drafts = run.tokens.last(static_cast<size_t>(run.num_drafts));
    int position = run.num_computed + static_cast<int>(run.tokens.size()) - run.num_drafts;
    for (const int32_t draft : drafts) {
      if (draft != TokenAt(position)) break;
      output_.token_ids.push_back(TokenAt(position++));
    }
    output_.token_ids.push_back(TokenAt(position));
  }

  std::chrono::nanoseconds per_step_;
  std::chrono::nanoseconds per_row_;
  ModelOutput output_;
};

// Knows the text but for one position in five.
class TextDrafter final : public Drafter {
 public:
  DrafterKind kind() const override { return DrafterKind::kModel; }
  void Propose(std::span<DraftTask> tasks) override {
    for (DraftTask& task : tasks) {
      const int num_tokens = static_cast<int>(task.tokens.size());
      for (int i = 0; i < task.max_drafts; ++i) {
        const int position = num_tokens + i;
        task.drafts[static_cast<size_t>(i)] = position % 5 == 0 ? 1 : TokenAt(position);
      }
      task.num_drafts = task.max_drafts;
      task.num_computed_after = num_tokens - 1 + task.max_drafts;
    }
  }
};

EngineConfig Config(int num_sequences) {
  EngineConfig config;
  config.vocab_size = kVocab;
  config.max_context = kContext;
  config.num_blocks = 2 * num_sequences * kContext / 16;
  config.max_num_seqs = num_sequences;
  config.max_num_batched_tokens = num_sequences * kContext;
  config.max_logit_rows = num_sequences * (1 + kMaxDrafts);
  return config;
}

class ServingLoop {
 public:
  ServingLoop(int num_sequences, TextRunner runner, std::vector<DrafterKind> drafters,
              bool has_timelines)
      : config_(Config(num_sequences)), runner_(std::move(runner)), has_timelines_(has_timelines) {
    config_.speculation.drafters = std::move(drafters);
    door_ = std::make_unique<EngineDoor>(config_, clock_, metrics_);
    loop_ = std::make_unique<EngineLoop>(config_,
                                         EngineParts{runner_,
                                                     clock_,
                                                     metrics_,
                                                     logger_,
                                                     door_->mailbox(),
                                                     door_->gate(),
                                                     door_->status(),
                                                     {.model = &drafter_}},
                                         1);
  }

  void SubmitAll(int prompt_tokens) {
    for (int i = 0; i < config_.max_num_seqs; ++i) {
      auto request = std::make_unique<Request>();
      request->prompt.resize(static_cast<size_t>(prompt_tokens));
      std::iota(request->prompt.begin(), request->prompt.end(), i);
      request->max_tokens = kContext;
      request->seed = static_cast<uint64_t>(i);
      request->ignore_eos = true;
      if (has_timelines_) request->timeline_slot = std::make_shared<TimelineSlot>();
      // Every other one drafts whatever the policy thinks of it.
      if (i % 2 == 1) request->speculation = {SpeculationMode::kFixed, 4};
      auto stream = door_->Submit(std::move(request));
      if (!stream.ok()) std::abort();
      streams_.push_back(std::move(stream).value());
    }
    loop_->RunOnce();
  }

  // Mean sequences per step, so that the benchmark shows what it measured.
  double MeanBatch() const {
    const HistogramCounts batches = metrics_.Snapshot().batch_sequences;
    return batches.sum / static_cast<double>(batches.count);
  }

  double MeanDrafts() const {
    const MetricsSnapshot counts = metrics_.Snapshot();
    double num_drafted = 0;
    for (const DrafterCounts& drafter : counts.drafters) {
      num_drafted += static_cast<double>(drafter.drafted_tokens);
    }
    return num_drafted / std::max(1.0, static_cast<double>(counts.tokens_per_run.count));
  }

  // Seconds of one step outside the models; the clients read outside of it.
  double Step() {
    const double before = metrics_.Snapshot().host_seconds.sum;
    loop_->RunOnce();
    for (const auto& stream : streams_) {
      for (const TokenEvent& event : stream->Take()) {
        if (event.finish != FinishReason::kNone) ++num_finished_;
      }
    }
    return metrics_.Snapshot().host_seconds.sum - before;
  }
  bool all_run() const { return num_finished_ == 0; }

 private:
  EngineConfig config_;
  SteadyClock clock_;
  Metrics metrics_;
  NullLogger logger_;
  TextRunner runner_;
  bool has_timelines_;
  TextDrafter drafter_;
  std::unique_ptr<EngineDoor> door_;
  std::unique_ptr<EngineLoop> loop_;
  std::vector<std::unique_ptr<ResponseStream>> streams_;
  int num_finished_ = 0;
};

// Decoding from 512 tokens on, served afresh whenever a context is used up.
void MeasureSteps(benchmark::State& state, const TextRunner& runner,
                  const std::vector<DrafterKind>& drafters, bool has_timelines = false) {
  const auto num_sequences = static_cast<int>(state.range(0));
  std::unique_ptr<ServingLoop> loop;
  for ([[maybe_unused]] auto _ : state) {
    if (loop == nullptr || !loop->all_run()) {
      loop = std::make_unique<ServingLoop>(num_sequences, runner, drafters, has_timelines);
      loop->SubmitAll(512);
      for (int i = 0; i < 20; ++i) loop->Step();
    }
    state.SetIterationTime(loop->Step());
  }
  state.counters["sequences"] = loop->MeanBatch();
  state.counters["k"] = loop->MeanDrafts();
}

void BM_HostWorkOfAStep(benchmark::State& state) { MeasureSteps(state, TextRunner({}, {}), {}); }

// The same, while the engine writes down where the time goes.
void BM_HostWorkOfAStepWithTimelines(benchmark::State& state) {
  MeasureSteps(state, TextRunner({}, {}), {}, true);
}

// The policy at work: the target takes a millisecond and 1 us a row, so that drafts pay.
void BM_HostWorkOfAStepWithDrafts(benchmark::State& state) {
  using std::chrono::microseconds;
  MeasureSteps(state, TextRunner(microseconds(1000), microseconds(1)),
               {DrafterKind::kModel, DrafterKind::kNgram, DrafterKind::kPrediction});
}

BENCHMARK(BM_HostWorkOfAStep)
    ->Arg(1)
    ->Arg(8)
    ->Arg(64)
    ->Arg(256)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HostWorkOfAStepWithTimelines)
    ->Arg(1)
    ->Arg(64)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HostWorkOfAStepWithDrafts)
    ->Arg(1)
    ->Arg(8)
    ->Arg(64)
    ->Iterations(1000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace runahead

BENCHMARK_MAIN();
