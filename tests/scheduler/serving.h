// Serving: pool, prefix cache, scheduler and fake runner, stepped by hand; it keeps what each
// choice was sent. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "core/clock.h"
#include "scheduler/scheduler.h"
#include "tests/scheduler/fake_runner.h"

namespace runahead {

struct ServingOptions {
  int num_blocks = 64;
  int block_size = 4;
  bool prefix_cache = true;
  SchedulerConfig scheduler = {};
  uint32_t seed = 1;
};

// What a choice has come to.
struct Served {
  std::vector<int32_t> tokens;
  EndReason end = EndReason::kNone;
  std::optional<int32_t> stop_token;
  int num_cached_tokens = -1;
  int num_steps = 0;  // steps that ran it
};

class Serving {
 public:
  using Key = std::pair<uint64_t, int>;  // request, choice

  explicit Serving(const ServingOptions& options)
      : pool(options.num_blocks, options.block_size),
        cache(pool, options.prefix_cache),
        scheduler(options.scheduler, pool, cache),
        runner(pool, options.seed) {}

  uint64_t Submit(RequestSpec spec) {
    const uint64_t id = ++last_id_;
    spec.id = RequestId{id};
    spec.arrival = now;
    specs[id] = spec;
    EXPECT_TRUE(scheduler.Add(spec).ok());
    return id;
  }

  // One turn of the engine's loop; false when nothing ran.
  bool Step(std::span<const DraftLimit> limits = {}) {
    now += std::chrono::milliseconds(1);
    batch = scheduler.Schedule(now, limits);
    for (const EndedSequence& ended : batch.ended) {
      served[{static_cast<uint64_t>(ended.request), ended.choice}].end = ended.reason;
    }
    last_run.clear();
    if (batch.empty()) return false;
    ++num_steps;
    CheckLimits();
    const FakeOutput out = runner.Run(batch);
    const Progress progress = scheduler.Apply(batch, out.token_ids, out.offsets);
    for (size_t s = 0; s < progress.sequences.size(); ++s) {
      const SequenceProgress& each = progress.sequences[s];
      Served& to = served[{static_cast<uint64_t>(each.request), each.choice}];
      const auto first = out.token_ids.begin() + out.offsets[s];
      to.tokens.insert(to.tokens.end(), first, first + each.num_emitted);
      to.end = each.end;
      to.stop_token = each.stop_token;
      to.num_cached_tokens = each.num_cached_tokens;
      ++to.num_steps;
    }
    return true;
  }

  void RunUntilIdle(int max_steps = 10000) {
    while (!scheduler.idle() && max_steps-- > 0) Step();
    EXPECT_TRUE(scheduler.idle()) << "requests are stuck";
    scheduler.CheckIntegrity();
    EXPECT_EQ(pool.num_used(), 0) << "a block leaked";
  }

  const Served& Of(uint64_t id, int choice = 0) { return served[{id, choice}]; }

  // Every choice that ended by itself said exactly what the model says.
  void ExpectFakeContinuations() {
    for (const auto& [key, got] : served) {
      const std::vector<int32_t> expected =
          FakeRunner::Continue(specs[key.first], key.second, scheduler.config().max_context);
      if (got.end == EndReason::kStop || got.end == EndReason::kLength) {
        EXPECT_EQ(got.tokens, expected) << "request " << key.first << " choice " << key.second;
      } else {
        ASSERT_LE(got.tokens.size(), expected.size());
        EXPECT_TRUE(std::equal(got.tokens.begin(), got.tokens.end(), expected.begin()))
            << "request " << key.first << " choice " << key.second;
      }
    }
  }

  // Tokens the last step ran of the choice; 0 where it did not hold it.
  int NumRun(uint64_t id, int choice = 0) const {
    const auto found = last_run.find({id, choice});
    return found == last_run.end() ? 0 : found->second.num_tokens;
  }

  BlockPool pool;
  PrefixCache cache;
  Scheduler scheduler;
  FakeRunner runner;
  TimePoint now;
  Batch batch;
  int num_steps = 0;
  std::map<uint64_t, RequestSpec> specs;
  std::map<Key, Served> served;
  std::map<Key, ScheduledSequence> last_run;  // the last step's; the pointers may be gone

 private:
  void CheckLimits() {
    const SchedulerConfig& config = scheduler.config();
    int num_tokens = 0;
    int num_logit_rows = 0;
    for (const ScheduledSequence& run : batch.sequences) {
      const Key key = {static_cast<uint64_t>(run.sequence->request()), run.sequence->choice()};
      ASSERT_TRUE(last_run.emplace(key, run).second) << "a sequence is in the batch twice";
      ASSERT_GT(run.num_tokens, run.num_draft);
      num_tokens += run.num_tokens + run.num_catch_up;
      num_logit_rows += run.wants_token ? 1 + run.num_draft : 0;
    }
    ASSERT_EQ(num_tokens, batch.num_tokens);
    ASSERT_LE(num_tokens, config.max_num_batched_tokens);
    ASSERT_LE(num_logit_rows, config.max_logit_rows);
    ASSERT_LE(static_cast<int>(batch.sequences.size()), config.max_num_seqs);
  }

  uint64_t last_id_ = 0;
};

inline std::vector<int32_t> FakePrompt(int num_tokens, int salt = 0) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < num_tokens; ++i) prompt.push_back((i * 7 + salt * 13 + 3) % 60);
  return prompt;
}

}  // namespace runahead
