// Deterministic replay: the same stream of requests gives the same tokens whenever they arrive,
// however long steps take, and whatever the policy makes of that.
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "answer.h"
#include "loop_fixture.h"
#include "pair_under_test.h"

namespace runahead {
namespace {

// A runner whose steps take as long as a coin says.
class MoodyRunner final : public StepRunner {
 public:
  MoodyRunner(StepRunner& runner, ManualClock& clock, uint64_t seed, int max_us)
      : runner_(runner), clock_(clock), random_(seed), max_us_(max_us) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    std::uniform_int_distribution<int> draw(1, max_us_);
    clock_.Advance(std::chrono::microseconds(draw(random_)));
    return runner_.Run(runs);
  }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    runner_.CopyBlocks(from, to);
  }

 private:
  StepRunner& runner_;
  ManualClock& clock_;
  std::mt19937_64 random_;
  int max_us_;
};

std::vector<Request> Stream() {
  std::vector<Request> requests;
  for (int i = 0; i < 14; ++i) {
    std::vector<int32_t> prompt;
    for (int t = 0; t < 18 + i; ++t) prompt.push_back((t % 9) * 5 + 7 * (i % 3));
    Request request = MakeRequest(std::move(prompt), 50);
    request.sampling.temperature = i % 4 == 0 ? 0.0f : 0.8f;
    if (i % 3 == 0) request.seed = static_cast<uint64_t>(i);  // the engine draws the others'
    if (i % 5 == 1) request.num_choices = 2;
    if (i % 5 == 2) request.sampling.frequency_penalty = 0.5f;
    request.sampling.num_logprobs = 1;
    requests.push_back(std::move(request));
  }
  return requests;
}

struct Replayed {
  std::vector<Answer> answers;
  uint64_t num_drafted = 0;
};

class SpeculationReplay : public testing::Test {
 protected:
  Replayed Replay(const std::vector<Request>& requests, uint64_t seed, int draft_us,
                  std::vector<DrafterKind> drafters) {
    std::mt19937_64 random(seed);
    ManualClock clock;
    MoodyRunner target(pair_.target(), clock, seed, 2000);
    MoodyRunner draft(pair_.draft(), clock, seed + 1, draft_us);
    ModelDrafter model(draft, kPairLimits, clock);
    EngineConfig config = pair_.Config();
    config.num_blocks = 40 + static_cast<int>(random() % 100);
    config.max_num_batched_tokens = 24 + static_cast<int>(random() % 200);
    config.enable_prefix_cache = random() % 2 == 0;
    config.speculation.drafters = std::move(drafters);
    pair_.PoisonCaches();
    LoopUnderTest loop(target, config, 1, {.model = &model}, &clock);
    std::vector<Client> clients;
    for (const Request& request : requests) {
      clients.push_back(loop.Submit(request));
      loop.Turns(static_cast<int>(random() % 8));
    }
    loop.RunUntilIdle();
    Replayed replayed;
    for (size_t i = 0; i < clients.size(); ++i) {
      replayed.answers.push_back(AnswerOf(clients[i], requests[i].num_choices));
    }
    for (const DrafterCounts& drafter : loop.metrics.Snapshot().drafters) {
      replayed.num_drafted += drafter.drafted_tokens;
    }
    return replayed;
  }

  // The target as its own draft: worth running, so that the policy does.
  ModelPair pair_{"llama_gqa", "llama_gqa"};
};

TEST_F(SpeculationReplay, TimingAndDecisionsChangeNoToken) {
  std::vector<Request> requests = Stream();
  const Replayed plain = Replay(requests, 0, 100, {});
  EXPECT_EQ(plain.num_drafted, 0u);
  for (size_t i = 0; i < requests.size(); i += 2) {
    requests[i].prediction = plain.answers[i].tokens[0];
  }
  uint64_t last_drafted = 0;
  int num_ways = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const int draft_us = seed % 3 == 0 ? 4000 : 60;  // now worth its time, now not
    const Replayed again =
        Replay(requests, seed, draft_us,
               {DrafterKind::kModel, DrafterKind::kNgram, DrafterKind::kPrediction});
    ASSERT_EQ(again.answers.size(), plain.answers.size());
    for (size_t i = 0; i < plain.answers.size(); ++i) {
      EXPECT_EQ(again.answers[i].tokens, plain.answers[i].tokens) << "seed " << seed;
      EXPECT_TRUE(again.answers[i] == plain.answers[i]) << "request " << i << ", seed " << seed;
    }
    EXPECT_GT(again.num_drafted, 0u) << "seed " << seed;
    num_ways += again.num_drafted != last_drafted ? 1 : 0;
    last_drafted = again.num_drafted;
  }
  EXPECT_GT(num_ways, 8) << "the decisions hardly differed, so little was tried";
}

}  // namespace
}  // namespace runahead
