// What speculation costs the host in a step: the policy's decision and bookkeeping, and prompt
// lookup.
#include <chrono>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "speculative/draft_policy.h"
#include "speculative/draft_state.h"

namespace runahead {
namespace {

constexpr DraftOffer kModel = {.drafter = DrafterKind::kModel, .max_drafts = kMaxDrafts};

// A batch in which the first `num_drafting` sequences' drafts are mostly accepted.
class Batch {
 public:
  explicit Batch(int num_sequences) : histories_(static_cast<size_t>(num_sequences)) {
    for (auto& history : histories_) {
      sequences_.push_back({.params = {},
                            .offers = std::span(&kModel, 1),
                            .history = &history,
                            .num_missing = 1,
                            .num_context = 500,
                            .max_drafts = kMaxDrafts});
    }
    for (int i = 0; i < 300; ++i) Step();
  }

  void Step() {
    policy_.Decide({.sequences = sequences_, .max_tokens = 2048}, choices_);
    outcomes_.clear();
    int num_rows = 0;
    int most = 0;
    for (size_t i = 0; i < choices_.size(); ++i) {
      const int k = choices_[i].num_drafts;
      int accepted = 0;
      while (accepted < k && random_() % 8 != 0) ++accepted;
      num_rows += 1 + k;
      most = std::max(most, k);
      outcomes_.push_back({.drafter = choices_[i].drafter,
                           .num_drafted = k,
                           .num_accepted = accepted,
                           .num_emitted = accepted + 1,
                           .num_context = 500,
                           .history = &histories_[i][static_cast<size_t>(choices_[i].drafter)]});
    }
    passes_.assign(static_cast<size_t>(most), {.num_rows = static_cast<int>(choices_.size()),
                                               .num_sequences = static_cast<int>(choices_.size()),
                                               .time = std::chrono::microseconds(100)});
    policy_.Observe({.sequences = outcomes_,
                     .num_rows = num_rows,
                     .num_context = 500 * static_cast<int64_t>(choices_.size()),
                     .target = std::chrono::nanoseconds(1000000 + 600 * num_rows),
                     .passes = passes_});
  }

  void Decide() { policy_.Decide({.sequences = sequences_, .max_tokens = 2048}, choices_); }

 private:
  std::mt19937 random_{1};
  DraftPolicy policy_{CostModel()};
  std::vector<std::array<AcceptanceRecord, kNumDrafterKinds>> histories_;
  std::vector<PolicySequence> sequences_;
  std::vector<DraftChoice> choices_;
  std::vector<StepOutcome::Sequence> outcomes_;
  std::vector<DraftPass> passes_;
};

void BM_Decide(benchmark::State& state) {
  Batch batch(static_cast<int>(state.range(0)));
  for (auto _ : state) batch.Decide();
}
BENCHMARK(BM_Decide)->Arg(1)->Arg(8)->Arg(64);

// Deciding, and taking in what came of it.
void BM_DecideAndObserve(benchmark::State& state) {
  Batch batch(static_cast<int>(state.range(0)));
  for (auto _ : state) batch.Step();
}
BENCHMARK(BM_DecideAndObserve)->Arg(1)->Arg(8)->Arg(64);

// A token of a text whose words repeat as those of prose do.
void BM_IndexToken(benchmark::State& state) {
  std::mt19937 random(1);
  std::geometric_distribution<int32_t> word(0.02);
  std::vector<int32_t> text(static_cast<size_t>(state.range(0)));
  for (int32_t& token : text) token = word(random);
  for (auto _ : state) {
    NgramIndex index;
    index.Extend(text, static_cast<int>(text.size()));
    benchmark::DoNotOptimize(index.Longest());
    state.counters["bytes_per_token"] =
        static_cast<double>(index.bytes()) / static_cast<double>(text.size());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_IndexToken)->Arg(1024)->Arg(131072);

}  // namespace
}  // namespace runahead

BENCHMARK_MAIN();
