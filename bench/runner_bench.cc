// Host time of a step outside the kernels: flattening, planning, sampling arguments, outputs.
//
//   build/release/bench/runner_bench
//
// The counter host_us is the step's wall time less the time inside the backend's ops (PlanAttention
// counts as host work). Bytes of the model do not matter: it is tiny.
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/registry.h"
#include "model/model_runner.h"
#include "tests/model/forwarding_backend.h"

namespace runahead {
namespace {

constexpr int kContext = 1000;
constexpr RunnerLimits kLimits = {.max_rows = 2048,
                                  .max_sequences = 256,
                                  .max_logit_rows = 512,
                                  .max_context = 2048,
                                  .block_size = 16};

struct Sequences {
  Sequences(int count, const SamplingParams& sampling, int vocab_size)
      : counts(static_cast<size_t>(count)) {
    std::mt19937 random(1);
    const int blocks = (kContext + 16) / 16;
    for (int s = 0; s < count; ++s) {
      std::vector<int32_t> ids(kContext + 1);
      for (int32_t& id : ids)
        id = static_cast<int32_t>(random() % static_cast<unsigned>(vocab_size));
      all_ids.push_back(std::move(ids));
      std::vector<int32_t> table(static_cast<size_t>(blocks));
      for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
      tables.push_back(std::move(table));
    }
    for (size_t s = 0; s < static_cast<size_t>(count); ++s) {
      const std::span<const int32_t> ids = all_ids[s];
      runs.push_back({.tokens = ids.last(1),
                      .num_computed = kContext,
                      .block_table = tables[s],
                      .wants_token = true,
                      .sampling = &sampling,
                      .prompt = ids.first(500),
                      .output = ids.subspan(500),
                      .counts = &counts[s]});
    }
  }

  std::vector<std::vector<int32_t>> all_ids;
  std::vector<std::vector<int32_t>> tables;
  std::vector<TokenCounts> counts;
  std::vector<SequenceRun> runs;
};

void BM_HostTime(benchmark::State& state, const SamplingParams& sampling) {
  ForwardingBackend backend(MakeBackend("cpu", {}).value());
  const auto transformer =
      Transformer::Load(backend,
                        std::string(RUNAHEAD_SOURCE_DIR) + "/tests/golden/models/tiny_llama", {})
          .value();
  const ModelConfig& config = transformer->config();
  KvCache cache(backend,
                {.num_layers = config.num_layers,
                 .num_kv_heads = config.num_kv_heads,
                 .head_dim = config.head_dim},
                64);
  ModelRunner runner(backend, *transformer, cache, kLimits);
  const Sequences sequences(static_cast<int>(state.range(0)), sampling, config.vocab_size);
  runner.Run(sequences.runs);
  double host_seconds = 0;
  for (auto _ : state) {
    const auto ops_before = backend.op_time();
    const auto start = std::chrono::steady_clock::now();
    runner.Run(sequences.runs);
    const auto wall = std::chrono::steady_clock::now() - start;
    host_seconds += std::chrono::duration<double>(wall - (backend.op_time() - ops_before)).count();
  }
  state.counters["host_us"] =
      benchmark::Counter(host_seconds * 1e6, benchmark::Counter::kAvgIterations);
}

SamplingParams Penalized() {
  SamplingParams sampling;
  sampling.repetition_penalty = 1.1f;
  return sampling;
}

SamplingParams WithLogprobs() {
  SamplingParams sampling;
  sampling.num_logprobs = 5;
  return sampling;
}

BENCHMARK_CAPTURE(BM_HostTime, greedy, SamplingParams{.temperature = 0})->Arg(1)->Arg(64)->Arg(256);
BENCHMARK_CAPTURE(BM_HostTime, sampled, SamplingParams{})->Arg(64);
BENCHMARK_CAPTURE(BM_HostTime, penalties, Penalized())->Arg(64);
BENCHMARK_CAPTURE(BM_HostTime, logprobs, WithLogprobs())->Arg(64);

}  // namespace
}  // namespace runahead

BENCHMARK_MAIN();
