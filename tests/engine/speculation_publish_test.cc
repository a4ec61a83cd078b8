// Only verified tokens are published to the prefix cache.
//
//   a sequence     [ verified ......... | rejected drafts .. ]
//   a newcomer     [ the same, drafts included, as its prompt ]
//                  ^^^^^^^^^^^^^^^^^^^^^ of this much at most it finds K/V
#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"
#include "test_drafters.h"

namespace runahead {
namespace {

// Remembers what was last proposed behind which tokens.
class RememberingDrafter final : public Drafter {
 public:
  explicit RememberingDrafter(Drafter& drafter) : drafter_(drafter) {}

  DrafterKind kind() const override { return drafter_.kind(); }
  void Propose(std::span<DraftTask> tasks) override {
    drafter_.Propose(tasks);
    for (const DraftTask& task : tasks) {
      if (task.num_drafts == 0) continue;
      tokens.assign(task.tokens.begin(), task.tokens.end());
      num_verified = static_cast<int>(tokens.size());
      tokens.insert(tokens.end(), task.proposed().begin(), task.proposed().end());
    }
  }

  std::vector<int32_t> tokens;  // drafts included
  int num_verified = 0;

 private:
  Drafter& drafter_;
};

// The bug to be found: takes every draft for accepted.
class CredulousRunner final : public StepRunner {
 public:
  explicit CredulousRunner(StepRunner& runner) : runner_(runner) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    const ModelOutput& honest = runner_.Run(runs);
    output_ = {};
    output_.offsets.assign(1, 0);
    output_.prompt_logprobs.resize(runs.size());
    for (size_t s = 0; s < runs.size(); ++s) {
      if (runs[s].wants_token) {
        const auto drafts = runs[s].tokens.last(static_cast<size_t>(runs[s].num_drafts));
        output_.token_ids.insert(output_.token_ids.end(), drafts.begin(), drafts.end());
        output_.token_ids.push_back(honest.TokensOf(static_cast<int>(s)).back());
      }
      output_.offsets.push_back(static_cast<int32_t>(output_.token_ids.size()));
    }
    output_.logprobs.resize(output_.token_ids.size());
    return output_;
  }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    runner_.CopyBlocks(from, to);
  }

 private:
  StepRunner& runner_;
  ModelOutput output_;
};

// Tokens that newcomers found in the cache beyond what was verified when they were drafted: the
// most of all turns.
int MostLeaked(bool is_credulous) {
  EngineConfig config = SmallEngineConfig();
  config.speculation.drafters = {DrafterKind::kModel};
  FakeRunner honest(config.num_blocks, config.block_size, config.vocab_size);
  CredulousRunner credulous(honest);
  StepRunner& runner = is_credulous ? static_cast<StepRunner&>(credulous) : honest;
  FakeDraftModel wrong(config.num_blocks, config.block_size, config.vocab_size, 0);
  RememberingDrafter drafter(wrong);
  FixedDecider decider(10);  // two blocks and a half
  LoopUnderTest test(runner, config, 1, {.model = &drafter, .decider = &decider});
  Client first = test.Submit(MakeRequest({1, 2, 3, 4, 5, 6, 7}, 100));
  test.Turns(2);
  int most = -100;
  for (int turn = 0; turn < 12; ++turn) {
    test.Turn();
    const int num_verified = drafter.num_verified;
    Request newcomer = MakeRequest(drafter.tokens, 1);
    newcomer.prompt.push_back(0);
    newcomer.speculation.mode = SpeculationMode::kOff;
    Client client = test.Submit(newcomer);
    test.Turn();
    client.Take();
    most = std::max(most, client.num_cached_tokens - num_verified);
  }
  return most;
}

TEST(SpeculationPublish, RejectedDraftsAreNeverFound) {
  const int leaked = MostLeaked(false);
  EXPECT_LE(leaked, 0);
  EXPECT_GT(leaked, -4) << "the verified blocks are found, or the comparison says nothing";
}

TEST(SpeculationPublish, TheComparisonSeesDraftsThatWerePublished) {
  EXPECT_GT(MostLeaked(true), 3);
}

}  // namespace
}  // namespace runahead
