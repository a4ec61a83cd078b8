// Random requests, drafts, messages and memory sizes: whatever was shared, preempted, cut or
// rejected on the way, each choice says exactly what the fake model says alone, every invariant
// holds, and no block is left behind.
// --gtest_random_seed=N draws another history.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/scheduler/serving.h"

namespace runahead {
namespace {

// CheckIntegrity looks at everything, so under a sanitizer it runs less often.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kOperationsPerCheck = 64;
#else
constexpr int kOperationsPerCheck = 4;
#endif

struct World {
  const char* name;
  int num_blocks;
  int block_size;
  bool prefix_cache;
  int max_num_seqs;
  int max_num_batched_tokens;
  int max_logit_rows;
  int max_num_draft;
  int batch_wait_ms = 0;
};

void PrintTo(const World& world, std::ostream* out) { *out << world.name; }

constexpr World kWorlds[] = {
    {"roomy", 256, 4, true, 16, 64, 64, 4},
    {"tiny_pool", 14, 4, true, 8, 32, 16, 4},
    {"tiny_pool_uncached", 14, 4, false, 8, 32, 16, 4},
    {"tiny_chunks", 40, 8, true, 4, 5, 6, 3},
    {"one_token_blocks", 60, 1, true, 6, 24, 24, 2},
    {"no_drafts", 32, 4, true, 8, 24, 8, 0},
    {"waits_to_fill", 32, 4, true, 8, 24, 24, 2, 5},
};

class RandomServing : public ::testing::TestWithParam<World> {
 protected:
  RandomServing()
      : serving_({.num_blocks = GetParam().num_blocks,
                  .block_size = GetParam().block_size,
                  .prefix_cache = GetParam().prefix_cache,
                  .scheduler = {.max_num_seqs = GetParam().max_num_seqs,
                                .max_num_batched_tokens = GetParam().max_num_batched_tokens,
                                .max_logit_rows = GetParam().max_logit_rows,
                                .max_context = 52,
                                .batch_wait = std::chrono::milliseconds(GetParam().batch_wait_ms)},
                  .seed = Seed(11)}) {}

  static uint32_t Seed(uint32_t purpose) {
    return purpose + 1000 * static_cast<uint32_t>(GTEST_FLAG_GET(random_seed));
  }

  int Draw(int bound) { return static_cast<int>(random_() % static_cast<uint32_t>(bound)); }

  // Prompts branch from a few common beginnings.
  RequestSpec DrawRequest() {
    RequestSpec spec;
    spec.prompt = FakePrompt(1 + Draw(40), Draw(3));
    for (int i = Draw(4); i > 0; --i) spec.prompt.push_back(Draw(FakeRunner::kVocabSize));
    spec.num_choices = Draw(4) == 0 ? 1 + Draw(4) : 1;
    spec.max_tokens = Draw(16) == 0 ? 0 : 1 + Draw(12);
    spec.min_tokens = Draw(3) == 0 ? Draw(6) : 0;
    for (int i = Draw(4); i > 0; --i) spec.stop_ids.push_back(Draw(FakeRunner::kVocabSize));
    spec.priority = Draw(4) == 0 ? Draw(3) - 1 : 0;
    if (Draw(8) == 0) spec.deadline = serving_.now + std::chrono::milliseconds(Draw(30));
    if (Draw(4) == 0) spec.cache_salt = Draw(2) == 0 ? "alice" : "bob";
    spec.looks_up_prefix = Draw(8) != 0;
    return spec;
  }

  // Some sequences draft, with the draft model caught up in full, in part or not at all.
  std::vector<DraftLimit> DrawLimits() {
    std::vector<DraftLimit> limits;
    if (GetParam().max_num_draft == 0) return limits;
    for (Sequence* sequence : serving_.scheduler.Running()) {
      if (Draw(3) == 0) continue;
      const int num_behind =
          sequence->num_tokens() - 1 - sequence->num_computed(CacheModel::kDraft);
      const int num_catch_up = Draw(4) == 0 ? 0 : Draw(3) == 0 ? Draw(num_behind + 1) : num_behind;
      limits.push_back({sequence, Draw(GetParam().max_num_draft + 1), num_catch_up});
    }
    return limits;
  }

  uint64_t DrawInFlight() {
    const auto running = serving_.scheduler.Running();
    if (running.empty() || Draw(4) == 0) return 1 + static_cast<uint64_t>(Draw(num_submitted_ + 1));
    return static_cast<uint64_t>(
        running[static_cast<size_t>(Draw(static_cast<int>(running.size())))]->request());
  }

  void Finish() {
    const uint64_t id = DrawInFlight();
    if (!serving_.specs.contains(id)) return;
    const int choice = Draw(serving_.specs[id].num_choices);
    const int num_sent = static_cast<int>(serving_.Of(id, choice).tokens.size());
    serving_.scheduler.Finish(RequestId{id}, choice, num_sent == 0 ? 0 : Draw(num_sent) + 1);
  }

  void Operate() {
    const int drawn = Draw(100);
    if (drawn < 22 && serving_.scheduler.num_waiting() < 12) {
      RequestSpec spec = DrawRequest();
      if (static_cast<int>(spec.prompt.size()) > GetParam().num_blocks * GetParam().block_size)
        return;
      serving_.Submit(std::move(spec));
      ++num_submitted_;
    } else if (drawn < 24) {
      serving_.scheduler.Cancel(RequestId{DrawInFlight()});
    } else if (drawn < 26) {
      Finish();
    } else {
      serving_.Step(DrawLimits());
    }
  }

  Serving serving_;
  std::mt19937 random_{Seed(23)};
  int num_submitted_ = 0;
};

TEST_P(RandomServing, SaysWhatTheModelSaysAndLosesNothing) {
  constexpr int kOperations = 180000 / static_cast<int>(std::size(kWorlds));
  for (int i = 0; i < kOperations && !HasFatalFailure(); ++i) {
    Operate();
    if (i % kOperationsPerCheck == 0) serving_.scheduler.CheckIntegrity();
  }
  serving_.RunUntilIdle();
  serving_.ExpectFakeContinuations();

  // The world did what it is for.
  const SchedulerCounters& counters = serving_.scheduler.counters();
  EXPECT_EQ(counters.prefix_hit_tokens > 0, GetParam().prefix_cache);
  EXPECT_GE(counters.preemptions, GetParam().num_blocks < 40 ? 50u : 0u);
  EXPECT_GT(counters.discarded_tokens, 0u);
  EXPECT_GT(num_submitted_, 1000);
}

INSTANTIATE_TEST_SUITE_P(Worlds, RandomServing, ::testing::ValuesIn(kWorlds),
                         [](const auto& world) { return std::string(world.param.name); });

}  // namespace
}  // namespace runahead
