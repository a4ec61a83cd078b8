// Host work of one engine step around a runner that costs nothing: mail, scheduling, the runner's
// input, booking, counts and events. The budget is 150 us a step at 64 sequences.
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

namespace runahead {
namespace {

constexpr int kContext = 2048;
constexpr int kVocab = 32000;

// Always says the same token.
class NoOpRunner final : public StepRunner {
 public:
  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    output_.token_ids.clear();
    output_.offsets.assign(1, 0);
    for (const SequenceRun& run : runs) {
      if (run.wants_token) output_.token_ids.push_back(7);
      output_.offsets.push_back(static_cast<int32_t>(output_.token_ids.size()));
    }
    output_.logprobs.resize(output_.token_ids.size());
    output_.prompt_logprobs.resize(runs.size());
    return output_;
  }
  void CopyBlocks(std::span<const int32_t>, std::span<const int32_t>) override {}

 private:
  ModelOutput output_;
};

EngineConfig Config(int num_sequences) {
  EngineConfig config;
  config.vocab_size = kVocab;
  config.max_context = kContext;
  config.num_blocks = 2 * num_sequences * kContext / 16;
  config.max_num_seqs = num_sequences;
  config.max_num_batched_tokens = num_sequences * kContext;
  config.max_logit_rows = num_sequences;
  return config;
}

class ServingLoop {
 public:
  explicit ServingLoop(int num_sequences)
      : config_(Config(num_sequences)),
        door_(config_, clock_, metrics_),
        loop_(config_,
              {runner_, clock_, metrics_, logger_, door_.mailbox(), door_.gate(), door_.status()},
              1) {}

  void SubmitAll(int prompt_tokens) {
    for (int i = 0; i < config_.max_num_seqs; ++i) {
      auto request = std::make_unique<Request>();
      request->prompt.resize(static_cast<size_t>(prompt_tokens));
      std::iota(request->prompt.begin(), request->prompt.end(), i);
      request->max_tokens = kContext;
      request->seed = static_cast<uint64_t>(i);
      auto stream = door_.Submit(std::move(request));
      if (!stream.ok()) std::abort();
      streams_.push_back(std::move(stream).value());
    }
    loop_.RunOnce();
  }

  // Mean sequences per step, so that the benchmark shows what it measured.
  double MeanBatch() const {
    const HistogramCounts batches = metrics_.Snapshot().batch_sequences;
    return batches.sum / static_cast<double>(batches.count);
  }

  // The time of one step; the clients read outside of it.
  std::chrono::duration<double> Step() {
    const TimePoint start = clock_.Now();
    loop_.RunOnce();
    const TimePoint end = clock_.Now();
    for (const auto& stream : streams_) benchmark::DoNotOptimize(stream->Take());
    return end - start;
  }

 private:
  EngineConfig config_;
  SteadyClock clock_;
  Metrics metrics_;
  NullLogger logger_;
  NoOpRunner runner_;
  EngineDoor door_;
  EngineLoop loop_;
  std::vector<std::unique_ptr<ResponseStream>> streams_;
};

// Decoding from `prompt` tokens on, served afresh whenever the context is used up.
void BM_HostWorkOfAStep(benchmark::State& state) {
  const auto num_sequences = static_cast<int>(state.range(0));
  constexpr int kPrompt = 512;
  std::unique_ptr<ServingLoop> loop;
  int steps_left = 0;
  for ([[maybe_unused]] auto _ : state) {
    if (steps_left-- == 0) {
      loop = std::make_unique<ServingLoop>(num_sequences);
      loop->SubmitAll(kPrompt);
      steps_left = kContext - kPrompt - 10;
    }
    state.SetIterationTime(loop->Step().count());
  }
  state.counters["sequences"] = loop->MeanBatch();
}
BENCHMARK(BM_HostWorkOfAStep)
    ->Arg(1)
    ->Arg(8)
    ->Arg(64)
    ->Arg(256)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace runahead

BENCHMARK_MAIN();
