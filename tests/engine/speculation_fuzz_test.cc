// K/V in step: random clients on pools far too small, deciders that throw coins and drafters that
// are right now and then. After every turn the state is whole; every token a client has read is
// what the request gives alone; and what the draft model is promised of its own K/V is true, which
// is checked against what the tokens say it should be.
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"
#include "pair_under_test.h"
#include "random_clients.h"
#include "test_drafters.h"

namespace runahead {
namespace {

constexpr auto kModel = static_cast<size_t>(DrafterKind::kModel);

void ExpectDraftsAddUp(const MetricsSnapshot& counts) {
  uint64_t num_accepted = 0;
  for (const DrafterCounts& drafter : counts.drafters) {
    num_accepted += drafter.accepted_tokens;
    EXPECT_GE(drafter.drafted_tokens, drafter.accepted_tokens);
  }
  EXPECT_EQ(counts.generated_tokens, counts.tokens_per_run.count + num_accepted);
}

struct FuzzCase {
  uint64_t seed;
  int quality;  // of 100 drafts of the model, so many are right
  bool enable_prefix_cache;
};

class SpeculationFuzz : public testing::TestWithParam<FuzzCase> {};

// Both fake models check every row of K/V that they attend to.
TEST_P(SpeculationFuzz, KvStaysInStep) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 30;  // 120 tokens; one sequence wants up to 66
  config.max_num_batched_tokens = 40;
  config.max_logit_rows = 24;
  config.enable_prefix_cache = GetParam().enable_prefix_cache;
  config.speculation.drafters = {DrafterKind::kModel, DrafterKind::kNgram,
                                 DrafterKind::kPrediction};
  FakeDraftModel model(config.num_blocks, config.block_size, config.vocab_size, GetParam().quality);
  RandomDecider decider(GetParam().seed);
  TestLoop test(config, 1, {.model = &model, .decider = &decider}, GetParam().seed % 2 == 0);
  RandomClients clients(test, FakeAlone, GetParam().seed, {.speculates = true});
  for (int i = 0; i < 3000 && !HasFailure(); ++i) clients.Operate();
  clients.End();

  const MetricsSnapshot counts = test.metrics.Snapshot();
  ExpectDraftsAddUp(counts);
  EXPECT_EQ(counts.waiting + counts.running, 0u);
  EXPECT_EQ(counts.used_blocks, 0);
  EXPECT_GT(counts.preemptions, 0u);
  EXPECT_GT(counts.finished_stop, 0u);
  EXPECT_GT(counts.cancelled[1], 0u);
  EXPECT_GT(counts.draft_catch_up_tokens, 0u);
  EXPECT_GT(counts.drafters[kModel].drafted_tokens, 500u);
  EXPECT_GT(model.num_rows_checked(), 10000);
}

INSTANTIATE_TEST_SUITE_P(Coins, SpeculationFuzz,
                         testing::Values(FuzzCase{1, 70, true}, FuzzCase{2, 70, false},
                                         FuzzCase{3, 20, true}, FuzzCase{4, 100, true},
                                         FuzzCase{5, 100, false}, FuzzCase{6, 90, true}));

// Asks the real draft model, and then a fresh one that has computed nothing: what they say may not
// differ, or the first one's K/V is not what its num_computed says.
class CheckedDrafter final : public Drafter {
 public:
  CheckedDrafter(Drafter& drafter, Drafter& fresh, int num_blocks)
      : drafter_(drafter), fresh_(fresh) {
    for (int32_t block = 0; block < num_blocks; ++block) table_.push_back(block);
  }

  int num_checked() const { return num_checked_; }

  DrafterKind kind() const override { return DrafterKind::kModel; }
  void Propose(std::span<DraftTask> tasks) override {
    drafter_.Propose(tasks);
    for (const DraftTask& task : tasks) {
      if (task.num_drafts > 0) Check(task);
    }
  }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    drafter_.CopyBlocks(from, to);
  }
  std::span<const DraftPass> passes() const override { return drafter_.passes(); }

 private:
  void Check(const DraftTask& task) {
    DraftTask again = {.tokens = task.tokens, .max_drafts = task.max_drafts, .state = task.state};
    again.run = task.run;
    again.run.block_table = table_;
    again.num_catch_up = static_cast<int>(task.tokens.size()) - 1;
    fresh_.Propose(std::span(&again, 1));
    const std::vector<int32_t> actual(task.proposed().begin(), task.proposed().end());
    const std::vector<int32_t> expected(again.proposed().begin(), again.proposed().end());
    EXPECT_EQ(actual, expected) << "behind " << task.tokens.size() << " tokens, of which "
                                << task.num_computed << " had draft K/V";
    ++num_checked_;
  }

  Drafter& drafter_;
  Drafter& fresh_;
  std::vector<int32_t> table_;
  int num_checked_ = 0;
};

// What a request gives alone, by a pair's target without speculation.
class AloneByPair {
 public:
  explicit AloneByPair(ModelPair& pair) : pair_(pair) {}

  std::vector<int32_t> operator()(const Request& request, int choice) {
    const Key key = {request.prompt, request.sampling.IsGreedy(), request.sampling.seed};
    std::vector<std::vector<int32_t>>& known = known_[key];
    if (known.empty()) known = Serve(request);
    // Stop ids are banned before min_tokens, which changes what follows.
    if (!request.stop_token_ids.empty()) return Serve(request)[static_cast<size_t>(choice)];
    std::vector<int32_t> tokens = known[static_cast<size_t>(choice)];
    tokens.resize(static_cast<size_t>(request.max_tokens));
    return tokens;
  }

 private:
  using Key = std::tuple<std::vector<int32_t>, bool, uint64_t>;

  std::vector<std::vector<int32_t>> Serve(Request request) {
    if (request.stop_token_ids.empty()) request.max_tokens = 40;
    request.num_choices = 3;
    request.deadline = kNoDeadline;
    request.sampling.num_prompt_logprobs = -1;
    LoopUnderTest loop(pair_.target(), pair_.Config());
    Client client = loop.Submit(request);
    loop.RunUntilIdle();
    client.Take();
    return {client[0].tokens, client[1].tokens, client[2].tokens};
  }

  ModelPair& pair_;
  std::map<Key, std::vector<std::vector<int32_t>>> known_;
};

class SpeculationFuzzOfModels : public testing::TestWithParam<uint64_t> {};

TEST_P(SpeculationFuzzOfModels, AFreshDraftModelSaysTheSame) {
  ModelPair pair("llama_gqa", "qwen3_norm");
  ModelPair alone("llama_gqa", "qwen3_norm");
  ManualClock clock;
  ModelDrafter drafter(pair.draft(), kPairLimits, clock);
  ModelDrafter fresh(alone.draft(), kPairLimits, clock);
  CheckedDrafter checked(drafter, fresh, kPairContext / kPairLimits.block_size);
  RandomDecider decider(GetParam());

  EngineConfig config = pair.Config();
  config.num_blocks = 24;
  config.max_num_seqs = 8;
  config.max_num_batched_tokens = 40;
  config.max_logit_rows = 30;
  config.enable_prefix_cache = GetParam() % 2 == 0;
  config.speculation.drafters = {DrafterKind::kModel, DrafterKind::kNgram,
                                 DrafterKind::kPrediction};
  pair.PoisonCaches();
  LoopUnderTest test(pair.target(), config, 1, {.model = &checked, .decider = &decider}, &clock);
  RandomClients clients(test, AloneByPair(alone), GetParam(),
                        {.vocab_size = pair.vocab_size(), .speculates = true});
  constexpr int kOperations = RUNAHEAD_MATRIX_STRIDE == 1 ? 1200 : 400;
  for (int i = 0; i < kOperations && !HasFailure(); ++i) clients.Operate();
  clients.End();

  const MetricsSnapshot counts = test.metrics.Snapshot();
  ExpectDraftsAddUp(counts);
  EXPECT_EQ(counts.used_blocks, 0);
  if (RUNAHEAD_MATRIX_STRIDE == 1) {
    EXPECT_GT(counts.preemptions, 0u);
  }
  EXPECT_GT(checked.num_checked(), kOperations / 6);
}

INSTANTIATE_TEST_SUITE_P(Coins, SpeculationFuzzOfModels, testing::Values(1, 2));

}  // namespace
}  // namespace runahead
