// What one step costs outside the model: Schedule and Apply over decoding sequences, and an
// admission by prefix hit.
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "kvcache/block_pool.h"
#include "kvcache/prefix_cache.h"
#include "scheduler/scheduler.h"

namespace runahead {
namespace {

constexpr int kContext = 1024;
constexpr int kBlockSize = 16;

std::vector<int32_t> Prompt(int num_tokens, int first) {
  std::vector<int32_t> prompt(static_cast<size_t>(num_tokens));
  std::iota(prompt.begin(), prompt.end(), first);
  return prompt;
}

// Sequences that decode from half the context on, with a model that always says the same.
class Decoding {
 public:
  Decoding(int num_sequences, int num_draft)
      : num_draft_(num_draft),
        pool_(2 * num_sequences * kContext / kBlockSize, kBlockSize),
        cache_(pool_, true),
        scheduler_({.max_num_seqs = num_sequences,
                    .max_num_batched_tokens = num_sequences * kContext,
                    .max_logit_rows = num_sequences * 17,
                    .max_context = kContext},
                   pool_, cache_) {
    for (int i = 0; i < num_sequences; ++i) {
      const Status added = scheduler_.Add(
          {.id = RequestId{next_id_++}, .prompt = Prompt(kContext / 2, i), .max_tokens = kContext});
      if (!added.ok()) std::abort();
    }
    Step();
  }

  bool IsFull() const { return scheduler_.idle(); }

  void Step() {
    limits_.clear();
    for (Sequence* sequence : scheduler_.Running()) limits_.push_back({sequence, num_draft_, 0});
    const Batch batch = scheduler_.Schedule(TimePoint(), limits_);
    token_ids_.clear();
    offsets_.assign(1, 0);
    for (const ScheduledSequence& run : batch.sequences) {
      drafts_.assign(static_cast<size_t>(run.num_draft), 7);
      run.sequence->SetDrafts(drafts_);
      token_ids_.insert(token_ids_.end(), static_cast<size_t>(1 + run.num_draft / 2), 7);
      offsets_.push_back(static_cast<int32_t>(token_ids_.size()));
    }
    benchmark::DoNotOptimize(scheduler_.Apply(batch, token_ids_, offsets_));
  }

 private:
  int num_draft_;
  uint64_t next_id_ = 0;
  BlockPool pool_;
  PrefixCache cache_;
  Scheduler scheduler_;
  std::vector<DraftLimit> limits_;
  std::vector<int32_t> drafts_;
  std::vector<int32_t> token_ids_;
  std::vector<int32_t> offsets_;
};

// Arguments: sequences, drafts of each. Time is per step.
void BM_ScheduleAndApply(benchmark::State& state) {
  std::optional<Decoding> decoding;
  const auto num_sequences = static_cast<int>(state.range(0));
  const auto num_draft = static_cast<int>(state.range(1));
  decoding.emplace(num_sequences, num_draft);
  for (auto _ : state) {
    decoding->Step();
    if (!decoding->IsFull()) continue;
    state.PauseTiming();
    decoding.emplace(num_sequences, num_draft);
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * num_sequences);
}
BENCHMARK(BM_ScheduleAndApply)->Args({1, 0})->Args({64, 0})->Args({64, 4})->Args({256, 0});

// Argument: tokens of the prompt, all but the last in the cache.
void BM_PrefixLookup(benchmark::State& state) {
  const auto num_tokens = static_cast<int>(state.range(0));
  BlockPool pool(2 * num_tokens / kBlockSize, kBlockSize);
  PrefixCache cache(pool, true);
  const std::vector<int32_t> prompt = Prompt(num_tokens, 0);
  {
    BlockTable table;
    if (!table.TryGrow(pool, num_tokens / kBlockSize)) std::abort();
    for (int i = 0; i < table.num_blocks(); ++i) {
      cache.Publish(table, i,
                    std::span(prompt).subspan(static_cast<size_t>(i * kBlockSize), kBlockSize), "");
    }
  }
  for (auto _ : state) {
    BlockTable table;
    benchmark::DoNotOptimize(cache.Lookup(prompt, "", table));
  }
  state.SetItemsProcessed(state.iterations() * num_tokens);
}
BENCHMARK(BM_PrefixLookup)->Arg(1024)->Arg(16384);

}  // namespace
}  // namespace runahead

BENCHMARK_MAIN();
