// Target and draft cache under one set of blocks, driven at random: drafts of any length accepted
// and rejected, steps without drafts, draft catch-up in pieces, chunked prefills, shared prefixes,
// forks with a copied block, preemption, stops. Every logit that either model computes on the way
// equals, bit for bit, that of a forward pass over the whole sequence from nothing.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/speculative/pair_fixture.h"
#include "tests/speculative/random_models.h"

namespace runahead {
namespace {

constexpr int kVocab = 40;
constexpr int kBlockSize = 8;
constexpr int kMaxTokens = 90;
constexpr int kNumBlocks = 48;  // four full sequences: with eight of them somebody has to give way

// Logits behind every token of a sequence, computed in one piece in a cache of its own.
class Oracle {
 public:
  Oracle(const std::string& directory, const TestModelOptions& options)
      : model_(directory, options) {}

  const std::vector<float>& LogitsBehind(std::span<const int32_t> ids) {
    std::vector<int32_t> key(ids.begin(), ids.end());
    const auto found = rows_.find(key);
    if (found != rows_.end()) return found->second;
    Rows rows = model_.Logits(ids, kMaxTokens + 20);
    while (!key.empty()) {
      rows_.emplace(key, std::move(rows.back()));
      rows.pop_back();
      key.pop_back();
    }
    return rows_.at(std::vector<int32_t>(ids.begin(), ids.end()));
  }

 private:
  TestModel model_;
  std::map<std::vector<int32_t>, std::vector<float>> rows_;
};

// Runs steps, and checks each of their logits. A run's prompt, output, pending drafts and own
// tokens say what stands before each row.
class CheckedRunner final : public StepRunner {
 public:
  CheckedRunner(TestModel& model, Oracle& oracle) : model_(model), oracle_(oracle) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    const ModelOutput& output = model_.runner().Run(runs);
    int32_t row = 0;
    for (const SequenceRun& run : runs) {
      std::vector<int32_t> ids(run.prompt.begin(), run.prompt.end());
      ids.insert(ids.end(), run.output.begin(), run.output.end());
      if (run.proposal) {
        ids.insert(ids.end(), run.proposal->pending.begin(), run.proposal->pending.end());
      }
      ids.resize(static_cast<size_t>(run.num_computed));
      for (const int32_t token : run.tokens) {
        ids.push_back(token);
        Check(row++, ids);
      }
    }
    return output;
  }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    model_.runner().CopyBlocks(from, to);
  }

  int num_checked = 0;

 private:
  void Check(int32_t row, std::span<const int32_t> ids) {
    const TensorView logits = model_.runner().LogitsOf(std::span(&row, 1));
    const std::vector<float>& expected = oracle_.LogitsBehind(ids);
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), logits.Row<float>(0)))
        << "row " << row << " behind " << ids.size() << " tokens";
    ++num_checked;
  }

  TestModel& model_;
  Oracle& oracle_;
};

// A sequence of the fuzz; its blocks are counted by the pool.
struct Runner {
  std::vector<int32_t> tokens;
  size_t num_prompt = 0;
  std::vector<int32_t> table;
  int target_computed = 0;
  int draft_computed = 0;
  SamplingParams sampling;

  int num_tokens() const { return static_cast<int>(tokens.size()); }
};

class Fuzz {
 public:
  Fuzz(const std::string& target, const std::string& draft, const TestModelOptions& options,
       uint32_t seed)
      : random_(seed),
        target_(target, options),
        draft_(draft, options),
        target_oracle_(target, options),
        draft_oracle_(draft, options),
        target_runner_(target_, target_oracle_),
        draft_runner_(draft_, draft_oracle_),
        watched_(draft_runner_, kBlockSize),
        drafter_(watched_, options.limits, clock_),
        references_(kNumBlocks) {}

  void Step() {
    while (sequences_.size() < 8) Add();
    std::shuffle(sequences_.begin(), sequences_.end(), random_);
    if (Chance(10)) Preempt(sequences_.back());
    if (Chance(8)) Fork();
    RunSome();
    EndSome();
  }

  int num_checked() const { return target_runner_.num_checked + draft_runner_.num_checked; }
  int num_accepted = 0;
  int num_rejected = 0;
  int num_shared = 0;
  int num_preempted = 0;
  int num_caught_up = 0;

 private:
  bool Chance(int one_in) { return Below(one_in) == 0; }
  int Below(int bound) { return static_cast<int>(random_() % static_cast<uint32_t>(bound)); }

  // Half of the new ones continue the beginning of somebody's tokens.
  void Add() {
    Runner added;
    if (!sequences_.empty() && Chance(2)) {
      const Runner& other =
          sequences_[static_cast<size_t>(Below(static_cast<int>(sequences_.size())))];
      const int length = 1 + Below(other.num_tokens());
      added.tokens.assign(other.tokens.begin(), other.tokens.begin() + length);
    }
    const int num_new = 1 + Below(24);
    for (int i = 0; i < num_new && added.num_tokens() < kMaxTokens / 2; ++i) {
      added.tokens.push_back(Below(kVocab));
    }
    added.num_prompt = added.tokens.size();
    added.sampling = {.temperature = Chance(4) ? 0.0f : 0.7f, .seed = random_()};
    if (Chance(3)) added.sampling.repetition_penalty = 1.2f;
    sequences_.push_back(std::move(added));
  }

  // Takes full blocks whose tokens somebody's target pass has computed; never the last token's.
  void FindPrefix(Runner& sequence) {
    for (const Runner& other : sequences_) {
      if (&other == &sequence || other.table.empty()) continue;
      int shared = 0;
      const int limit = std::min(sequence.num_tokens() - 1, other.target_computed);
      while (shared < limit && sequence.tokens[static_cast<size_t>(shared)] ==
                                   other.tokens[static_cast<size_t>(shared)]) {
        ++shared;
      }
      const int num_blocks = shared / kBlockSize;
      if (num_blocks == 0) continue;
      for (int i = 0; i < num_blocks; ++i) {
        sequence.table.push_back(other.table[static_cast<size_t>(i)]);
        ++references_[static_cast<size_t>(sequence.table.back())];
      }
      sequence.target_computed = num_blocks * kBlockSize;
      sequence.draft_computed = std::min(other.draft_computed, sequence.target_computed);
      ++num_shared;
      return;
    }
  }

  bool TryGrow(Runner& sequence, int num_tokens) {
    while (static_cast<int>(sequence.table.size()) * kBlockSize < num_tokens) {
      const auto free = std::find(references_.begin(), references_.end(), 0);
      if (free == references_.end()) return false;
      *free = 1;
      sequence.table.push_back(static_cast<int32_t>(free - references_.begin()));
    }
    return true;
  }

  void Preempt(Runner& sequence) {
    for (const int32_t block : sequence.table) --references_[static_cast<size_t>(block)];
    num_preempted += sequence.table.empty() ? 0 : 1;
    sequence.table.clear();
    sequence.target_computed = sequence.draft_computed = 0;
  }

  // Another choice of a prompt: the same full blocks, a copy of the one in which its last token
  // stands, and that token again.
  void Fork() {
    const Runner& first = sequences_[0];
    const auto num_prompt = static_cast<int>(first.num_prompt);
    if (first.target_computed < num_prompt) return;
    Runner choice;
    choice.tokens.assign(first.tokens.begin(), first.tokens.begin() + num_prompt);
    choice.num_prompt = first.num_prompt;
    choice.sampling = first.sampling;
    choice.sampling.seed = random_();
    const int num_full = (num_prompt - 1) / kBlockSize;
    const auto free = std::find(references_.begin(), references_.end(), 0);
    if (free == references_.end()) return;
    *free = 1;
    const auto copy = static_cast<int32_t>(free - references_.begin());
    choice.table.assign(first.table.begin(), first.table.begin() + num_full);
    for (const int32_t block : choice.table) ++references_[static_cast<size_t>(block)];
    const int32_t from = first.table[static_cast<size_t>(num_full)];
    target_runner_.CopyBlocks(std::span(&from, 1), std::span(&copy, 1));
    drafter_.CopyBlocks(std::span(&from, 1), std::span(&copy, 1));
    choice.table.push_back(copy);
    choice.target_computed = num_prompt - 1;
    choice.draft_computed = std::min(first.draft_computed, num_prompt - 1);
    sequences_.push_back(std::move(choice));
  }

  // What one sequence does in this step.
  struct Plan {
    Runner* sequence = nullptr;
    int num_tokens = 0;  // of the target, without drafts
    DraftTask task;
    std::vector<int32_t> rows;
  };

  bool MakePlan(Runner& sequence, Plan& plan) {
    if (sequence.table.empty()) FindPrefix(sequence);
    const int rest = sequence.num_tokens() - sequence.target_computed;
    plan.sequence = &sequence;
    plan.num_tokens = Chance(2) ? rest : 1 + Below(rest);
    const bool decodes = plan.num_tokens == rest;
    const int num_drafts =
        decodes && !Chance(4) ? std::min(Below(7), kMaxTokens - sequence.num_tokens() - 1) : 0;
    if (!TryGrow(sequence, sequence.num_tokens() + std::max(0, num_drafts))) return false;
    const std::span<const int32_t> tokens = sequence.tokens;
    plan.task.tokens = tokens;
    plan.task.max_drafts = std::max(0, num_drafts);
    plan.task.state = &state_;
    plan.task.run = {.block_table = sequence.table,
                     .sampling = &sequence.sampling,
                     .prompt = tokens.first(sequence.num_prompt),
                     .output = tokens.subspan(sequence.num_prompt)};
    plan.task.num_computed = sequence.draft_computed;
    plan.task.num_catch_up = Chance(3) ? Below(12) : 1000;
    if (Chance(4)) plan.task.max_drafts = plan.task.num_catch_up = 0;
    plan.task.min_confidence = Chance(3) ? 0.2f : 0;
    return true;
  }

  void RunSome() {
    std::vector<Plan> plans;
    for (Runner& sequence : sequences_) {
      Plan plan;
      if (MakePlan(sequence, plan)) {
        plans.push_back(std::move(plan));
      } else {
        Preempt(sequence);
      }
    }
    std::vector<DraftTask> tasks;
    for (const Plan& plan : plans) tasks.push_back(plan.task);
    drafter_.Propose(tasks);
    std::vector<SequenceRun> runs;
    for (size_t i = 0; i < plans.size(); ++i) runs.push_back(TargetRun(plans[i], tasks[i]));
    const ModelOutput& output = target_runner_.Run(runs);
    for (size_t i = 0; i < plans.size(); ++i) {
      Apply(*plans[i].sequence, runs[i], tasks[i], output.TokensOf(static_cast<int>(i)));
    }
  }

  SequenceRun TargetRun(Plan& plan, const DraftTask& task) {
    const Runner& sequence = *plan.sequence;
    const auto begin = sequence.tokens.begin() + sequence.target_computed;
    plan.rows.assign(begin, begin + plan.num_tokens);
    SequenceRun run = task.run;
    run.num_computed = sequence.target_computed;
    run.wants_token = sequence.target_computed + plan.num_tokens == sequence.num_tokens();
    if (run.wants_token) {
      run.num_drafts = task.num_drafts;
      plan.rows.insert(plan.rows.end(), task.proposed().begin(), task.proposed().end());
    }
    run.tokens = plan.rows;
    return run;
  }

  void Apply(Runner& sequence, const SequenceRun& run, const DraftTask& task,
             std::span<const int32_t> emitted) {
    const int accepted = static_cast<int>(emitted.size()) - 1;
    sequence.target_computed += static_cast<int>(run.tokens.size()) - run.num_drafts;
    if (run.wants_token) {
      sequence.target_computed += accepted;
      num_accepted += accepted;
      num_rejected += run.num_drafts - accepted;
      sequence.tokens.insert(sequence.tokens.end(), emitted.begin(), emitted.end());
    }
    num_caught_up += task.num_computed_after > task.num_computed + 8 ? 1 : 0;
    // Also where it ran ahead of a target that is still at its prompt.
    sequence.draft_computed = std::min(task.num_computed_after, sequence.target_computed);
  }

  // Stops: now and then, and at the longest length.
  void EndSome() {
    for (Runner& sequence : sequences_) {
      if (sequence.num_tokens() < kMaxTokens - 2 && !Chance(40)) continue;
      for (const int32_t block : sequence.table) --references_[static_cast<size_t>(block)];
      sequence.tokens.clear();
    }
    std::erase_if(sequences_, [](const Runner& sequence) { return sequence.tokens.empty(); });
  }

  std::mt19937 random_;
  SteadyClock clock_;
  TestModel target_;
  TestModel draft_;
  Oracle target_oracle_;
  Oracle draft_oracle_;
  CheckedRunner target_runner_;
  CheckedRunner draft_runner_;
  WatchedRunner watched_;
  ModelDrafter drafter_;
  DraftState state_;
  std::vector<Runner> sequences_;
  std::vector<int> references_;  // by block
};

class KvInStepTest : public testing::TestWithParam<std::string> {};

TEST_P(KvInStepTest, EveryLogitIsThatOfAFreshForward) {
  const TestFolder target("_target");
  const TestFolder draft("_draft");
  WriteRandomModel(target, kVocab, 3, 0);
  WriteRandomModel(draft, kVocab, 3, 0.3f);
  const TestModelOptions options = {.backend = GetParam(),
                                    .weights = WeightFormat::kBF16,
                                    .kv = DType::kBF16,
                                    .num_blocks = kNumBlocks,
                                    .limits = {.max_rows = 300,
                                               .max_sequences = 20,
                                               .max_logit_rows = 64,
                                               .max_context = kMaxTokens + 20,
                                               .block_size = kBlockSize}};
  Fuzz fuzz(target.path(), draft.path(), options, 7);
  const int num_steps = GetParam() == "ref" ? 40 : 250;
  for (int step = 0; step < num_steps && !HasFatalFailure(); ++step) fuzz.Step();
  EXPECT_GT(fuzz.num_checked(), 20 * num_steps);
  EXPECT_GT(fuzz.num_accepted, num_steps / 2);
  EXPECT_GT(fuzz.num_rejected, num_steps / 2);
  EXPECT_GT(fuzz.num_shared, num_steps / 20);
  EXPECT_GT(fuzz.num_preempted, num_steps / 20);
  EXPECT_GT(fuzz.num_caught_up, num_steps / 20);
}

INSTANTIATE_TEST_SUITE_P(Backends, KvInStepTest, testing::ValuesIn(BackendNames()));

}  // namespace
}  // namespace runahead
