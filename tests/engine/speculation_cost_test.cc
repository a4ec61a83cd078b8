// Speculation costs no speed, and gains some: real (tiny) models behind the engine with its own
// policy, where every pass takes the time that a large model's would, by a clock only the runners
// move. Requests come whenever a place is free, so prefills, catching up and probes are all paid.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"
#include "pair_under_test.h"

namespace runahead {
namespace {

using std::chrono::microseconds;

// What a pass takes: the weights are read once, and each row is computed.
struct Cost {
  microseconds base;
  microseconds per_row;
};

// Rows nearly for nothing, as where memory bounds a step; and rows that cost, as on a CPU.
const std::vector<Cost> kTargets = {{microseconds(10000), microseconds(50)},
                                    {microseconds(10000), microseconds(1500)}};
constexpr Cost kDraft = {microseconds(1000), microseconds(20)};

class SpeculationCost : public testing::Test {
 protected:
  Request RequestOf(int i) const {
    std::vector<int32_t> prompt;
    for (int t = 0; t < 24; ++t) prompt.push_back((i * 31 + t * t * 7 + t) % 96);
    Request request = MakeRequest(std::move(prompt), 100);
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 0.8f;
    request.seed = static_cast<uint64_t>(i);
    return request;
  }

  // Tokens a virtual second, with `batch` places and always someone waiting for one, from the
  // first 100 tokens of each place on.
  double Rate(ModelPair& pair, int batch, Cost target_cost, std::vector<DrafterKind> drafters) {
    ManualClock clock;
    TimedRunner target(pair.target(), clock, target_cost.base, target_cost.per_row);
    TimedRunner draft(pair.draft(), clock, kDraft.base, kDraft.per_row);
    ModelDrafter model(draft, kPairLimits, clock);
    EngineConfig config = pair.Config();
    config.max_num_seqs = batch;
    config.speculation.drafters = std::move(drafters);
    LoopUnderTest loop(target, config, 1, {.model = &model}, &clock);
    std::vector<Client> clients;
    for (int i = 0; i < 8 + 5 * batch; ++i) clients.push_back(loop.Submit(RequestOf(i)));
    const auto run_until = [&](auto is_done) {
      while (!is_done(loop.metrics.Snapshot())) loop.loop.RunOnce();
      return loop.metrics.Snapshot().generated_tokens;
    };
    const auto warm = static_cast<uint64_t>(100 * batch);
    const uint64_t first = run_until([&](const auto& now) { return now.generated_tokens >= warm; });
    const TimePoint start = clock.Now();
    const uint64_t last = run_until([](const auto& now) { return now.waiting == 0; });
    return static_cast<double>(last - first) / Seconds(clock.Now() - start);
  }

  const std::vector<DrafterKind> kAll = {DrafterKind::kModel, DrafterKind::kNgram,
                                         DrafterKind::kPrediction};
};

TEST_F(SpeculationCost, AUselessDraftModelCostsNextToNothing) {
  ModelPair pair("llama_gqa", "qwen3_norm");
  for (const Cost& target : kTargets) {
    for (const int batch : {1, 2, 4, 8, 16}) {
      const double gain = Rate(pair, batch, target, kAll) / Rate(pair, batch, target, {});
      std::cout << "useless draft, row " << target.per_row.count() << " us, batch " << batch << ": "
                << gain << "x\n";
      EXPECT_GE(gain, 0.97) << "batch " << batch;
    }
  }
}

TEST_F(SpeculationCost, AGoodDraftModelGainsWhereRowsAreCheap) {
  ModelPair pair("llama_gqa", "llama_gqa");
  for (const Cost& target : kTargets) {
    for (const int batch : {1, 2, 4, 8, 16}) {
      const double gain = Rate(pair, batch, target, kAll) / Rate(pair, batch, target, {});
      std::cout << "perfect draft, row " << target.per_row.count() << " us, batch " << batch << ": "
                << gain << "x\n";
      EXPECT_GE(gain, 0.97) << "batch " << batch;
      if (batch == 1) {
        EXPECT_GE(gain, 2.0);
      }
    }
  }
}

}  // namespace
}  // namespace runahead
