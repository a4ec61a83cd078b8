#include "speculative/model_drafter.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/speculative/pair_fixture.h"
#include "tests/speculative/random_models.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr int kVocab = 96;

// A model that drafts for itself is always right: its filters, penalties and noise are the
// target's, drafts before the position included.
TEST(ModelDrafterTest, TheTargetAsItsOwnDraftIsAlwaysAccepted) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"), PairOptions());
  for (const SamplingParams& sampling : ManyParams()) {
    PairSequence sequence = pair.NewSequence(SomeTokens(21, kVocab, 1), sampling, 80);
    sequence.suppressed = {2, 40};
    sequence.min_tokens = 30;
    for (int step = 0; step < 10; ++step) {
      sequence.num_drafts = 1 + step % 8;
      pair.Step(sequence);
      EXPECT_EQ(sequence.num_proposed, sequence.num_drafts);
      EXPECT_EQ(sequence.num_accepted, sequence.num_drafts) << "step " << step;
    }
  }
}

// Any draft, any k: the tokens are those of decoding without drafts.
TEST(ModelDrafterTest, AnotherModelsDraftsChangeNothing) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), PairOptions());
  int num_accepted = 0;
  for (const SamplingParams& sampling : ManyParams()) {
    PairSequence plain = pair.NewSequence(SomeTokens(21, kVocab, 2), sampling, 80);
    plain.num_catch_up = 0;
    while (plain.output().size() < 50) pair.Step(plain);
    PairSequence sequence = pair.NewSequence(SomeTokens(21, kVocab, 2), sampling, 80);
    for (int step = 0; sequence.output().size() < 50; ++step) {
      sequence.num_drafts = step % 5;
      pair.Step(sequence);
      num_accepted += sequence.num_accepted;
    }
    EXPECT_THAT(sequence.output().first(50), ElementsAreArray(plain.output().first(50)));
  }
  EXPECT_GT(num_accepted, 0) << "nothing was ever accepted, so nothing was tried";
}

TEST(ModelDrafterTest, RunsOneRowAPassOnceItIsLevel) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"), PairOptions());
  PairSequence sequence = pair.NewSequence(SomeTokens(40, kVocab, 3), {.temperature = 0}, 60);
  sequence.num_drafts = 3;
  pair.Step(sequence);
  // 39 missing rows on their own, then the last token and two drafts; the third is not run.
  ASSERT_EQ(pair.drafter().passes().size(), 4u);
  EXPECT_TRUE(pair.drafter().passes()[0].is_catch_up);
  EXPECT_EQ(pair.drafter().passes()[0].num_rows, 39);
  EXPECT_EQ(pair.drafter().passes()[0].num_context, 39);
  EXPECT_EQ(pair.drafter().passes()[1].num_rows, 1);
  EXPECT_EQ(pair.drafter().passes()[1].num_context, 40);
  EXPECT_FALSE(pair.drafter().passes()[3].is_catch_up);
  EXPECT_GT(pair.drafter().passes()[3].time.count(), 0);
  // 40 tokens and two drafts have K/V; 44 tokens: the third draft rides with the last token.
  EXPECT_EQ(sequence.draft_computed, 42);
  EXPECT_EQ(sequence.tokens.size(), 44u);
  pair.Step(sequence);
  ASSERT_EQ(pair.drafter().passes().size(), 3u);
  EXPECT_EQ(pair.drafter().passes()[0].num_rows, 2);
  EXPECT_EQ(pair.drafter().passes()[1].num_rows, 1);
}

TEST(ModelDrafterTest, CatchesUpAsFarAsItMay) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), PairOptions({.max_rows = 16}));
  PairSequence sequence = pair.NewSequence(SomeTokens(40, kVocab, 4), {.temperature = 0}, 60);
  sequence.num_drafts = 2;
  const auto propose = [&](int num_computed, int num_catch_up) {
    DraftTask task = pair.TaskOf(sequence);
    task.num_computed = num_computed;
    task.num_catch_up = num_catch_up;
    pair.drafter().Propose(std::span(&task, 1));
    return task;
  };
  EXPECT_EQ(propose(0, 0).num_computed_after, 0);
  EXPECT_TRUE(pair.drafter().passes().empty());
  const DraftTask some = propose(0, 25);
  EXPECT_EQ(some.num_computed_after, 25);
  EXPECT_EQ(some.num_drafts, 0);
  EXPECT_EQ(pair.drafter().passes().size(), 2u) << "of 16 and 9 rows";
  const DraftTask rest = propose(25, 14);
  EXPECT_EQ(rest.num_drafts, 2);
  EXPECT_EQ(rest.num_computed_after, 41);
  const DraftTask nearly = propose(38, 0);
  EXPECT_EQ(nearly.num_drafts, 0) << "also a single missing row must be granted";
  const DraftTask merged = propose(38, 1);
  EXPECT_EQ(pair.drafter().passes().size(), 2u);
  EXPECT_THAT(merged.proposed(), ElementsAreArray(rest.proposed()));
  sequence.num_drafts = 0;
  const DraftTask level = propose(10, 1000);
  EXPECT_EQ(level.num_computed_after, 39);
  // The same drafts from a cache filled in one piece.
  Pair other(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), PairOptions());
  sequence.num_drafts = 2;
  DraftTask whole = other.TaskOf(sequence);
  other.drafter().Propose(std::span(&whole, 1));
  EXPECT_THAT(whole.proposed(), ElementsAreArray(rest.proposed()));
}

//  a:  [p | q | a...]      p and q are full blocks of a prompt that three sequences share; b hit
//  b:  [p | q | b...]      fewer of them in the draft's own cache than a did, c all but one token
//  c:  [p | q | c...]
TEST(ModelDrafterTest, SharersFillABlockOnce) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), PairOptions());
  const std::vector<int32_t> prompt = SomeTokens(33, kVocab, 5);
  std::vector<PairSequence> sequences;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    sequences.push_back(pair.NewSequence(prompt, {.temperature = 1, .seed = seed}, 40));
    std::copy_n(sequences[0].table.begin(), 2, sequences[seed].table.begin());
    sequences[seed].num_drafts = 3;
  }
  std::vector<std::vector<int32_t>> alone;
  for (PairSequence& sequence : sequences) {
    Pair other(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), PairOptions());
    DraftTask task = other.TaskOf(sequence);
    other.drafter().Propose(std::span(&task, 1));
    alone.emplace_back(task.proposed().begin(), task.proposed().end());
  }
  DraftTask tasks[3];
  const auto propose = [&] {
    for (size_t s = 0; s < 3; ++s) tasks[s] = pair.TaskOf(sequences[s]);
    const int before = pair.draft_runner().num_rows;
    pair.drafter().Propose(tasks);
    for (size_t s = 0; s < 3; ++s) {
      EXPECT_THAT(tasks[s].proposed(), ElementsAreArray(alone[s]));
      EXPECT_EQ(tasks[s].num_computed_after, 35);
    }
    return pair.draft_runner().num_rows - before;
  };
  EXPECT_EQ(propose(), 32 + 3 * 3) << "the prompt once, then three passes of three";
  // Rows that would ride in the first drafting pass meet in block q too: one sequence runs them.
  sequences[0].draft_computed = 30;
  sequences[1].draft_computed = 31;
  sequences[2].draft_computed = 32;
  EXPECT_EQ(propose(), 2 + 3 * 3);
  // Nothing granted to the second: it takes what the first has filled.
  sequences[0].draft_computed = sequences[1].draft_computed = 0;
  sequences[2].draft_computed = 0;
  sequences[1].num_catch_up = 0;
  DraftTask two[2] = {pair.TaskOf(sequences[0]), pair.TaskOf(sequences[1])};
  pair.drafter().Propose(two);
  EXPECT_EQ(two[0].num_computed_after, 35);
  EXPECT_EQ(two[1].num_drafts, 0);
}

TEST(ModelDrafterTest, StopsAtItsContext) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"), PairOptions({.max_context = 64}));
  PairSequence sequence = pair.NewSequence(SomeTokens(62, kVocab, 6), {.temperature = 0}, 20);
  sequence.num_drafts = 8;
  DraftTask task = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&task, 1));
  EXPECT_EQ(task.num_drafts, 3) << "of passes over 62, 63 and 64 tokens";
  sequence.tokens = SomeTokens(70, kVocab, 6);
  task = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&task, 1));
  EXPECT_EQ(task.num_drafts, 0);
  EXPECT_EQ(task.num_computed_after, 64);
}

TEST(ModelDrafterTest, StopsBehindATokenItIsUnsureOf) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"), PairOptions());
  PairSequence sequence =
      pair.NewSequence(SomeTokens(20, kVocab, 7), {.temperature = 1, .seed = 1}, 40);
  sequence.num_drafts = 8;
  DraftTask whole = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&whole, 1));
  ASSERT_EQ(whole.num_drafts, 8);
  // Its own probabilities, from the logits behind each prefix.
  std::vector<int32_t> ids = sequence.tokens;
  ids.insert(ids.end(), whole.proposed().begin(), whole.proposed().end());
  const Rows logits = pair.draft().Logits(ids, 64);
  std::vector<float> probabilities;
  for (size_t i = 20; i < ids.size(); ++i) {
    double sum = 0;
    for (const float l : logits[i - 1]) sum += std::exp(static_cast<double>(l));
    const double own = logits[i - 1][static_cast<size_t>(ids[i])];
    probabilities.push_back(static_cast<float>(std::exp(own) / sum));
  }
  for (const float bound : {0.005f, 0.01f, 0.02f, 1.1f}) {
    const auto unsure = std::find_if(probabilities.begin(), probabilities.end(),
                                     [&](float p) { return p < bound; });
    const auto expected = std::min<int64_t>(8, unsure - probabilities.begin() + 1);
    sequence.min_confidence = bound;
    DraftTask task = pair.TaskOf(sequence);
    pair.drafter().Propose(std::span(&task, 1));
    EXPECT_EQ(task.num_drafts, expected) << "bound " << bound;
    EXPECT_EQ(task.num_computed_after, 20 + task.num_drafts - 1);
    EXPECT_THAT(task.proposed(),
                ElementsAreArray(whole.proposed().first(static_cast<size_t>(task.num_drafts))));
  }
}

TEST(ModelDrafterTest, SplitsAPassThatIsTooWide) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"),
            PairOptions({.max_rows = 7, .max_sequences = 4}));
  std::vector<PairSequence> sequences;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    sequences.push_back(
        pair.NewSequence(SomeTokens(3, kVocab, 8), {.temperature = 1, .seed = seed}, 13));
    sequences.back().num_drafts = static_cast<int>(seed % 4);
  }
  std::vector<DraftTask> tasks;
  for (PairSequence& sequence : sequences) tasks.push_back(pair.TaskOf(sequence));
  pair.drafter().Propose(tasks);
  for (const DraftPass& pass : pair.drafter().passes()) {
    EXPECT_LE(pass.num_rows, 7);
    EXPECT_LE(pass.num_sequences, 4);
  }
  for (size_t s = 0; s < 6; ++s) {
    DraftTask alone = pair.TaskOf(sequences[s]);
    pair.drafter().Propose(std::span(&alone, 1));
    EXPECT_EQ(tasks[s].num_drafts, sequences[s].num_drafts);
    EXPECT_THAT(tasks[s].proposed(), ElementsAreArray(alone.proposed()));
  }
}

TEST(ModelDrafterTest, CopiesBlocksOfItsOwnCache) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"), PairOptions());
  PairSequence sequence = pair.NewSequence(SomeTokens(16, kVocab, 9), {.temperature = 0}, 16);
  sequence.num_drafts = 4;
  DraftTask first = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&first, 1));
  const std::vector<int32_t> copies = pair.target().NewTable(32);
  pair.drafter().CopyBlocks(std::span(sequence.table).first(1), std::span(copies).first(1));
  sequence.table = copies;
  sequence.draft_computed = 15;
  DraftTask second = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&second, 1));
  EXPECT_THAT(second.proposed(), ElementsAreArray(first.proposed()));
}

// In rejection mode the target gets the very rows the drafts were drawn from.
TEST(ModelDrafterTest, KeepsTheRowsItDrewFrom) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"),
            PairOptions({.max_logit_rows = 5, .verify_mode = VerifyMode::kRejection}));
  std::vector<PairSequence> sequences;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const float temperature = seed == 1 ? 0.0f : 0.5f;
    sequences.push_back(pair.NewSequence(SomeTokens(10, kVocab, 10),
                                         {.temperature = temperature, .seed = seed}, 22));
    sequences.back().num_drafts = 3;
  }
  std::vector<DraftTask> tasks;
  for (PairSequence& sequence : sequences) tasks.push_back(pair.TaskOf(sequence));
  pair.drafter().Propose(tasks);
  EXPECT_THAT(tasks[0].proposed_rows(), ElementsAre(0, 2, 4));
  EXPECT_THAT(tasks[1].proposed_rows(), ElementsAre(-1, -1, -1)) << "greedy drafts need none";
  EXPECT_THAT(tasks[2].proposed_rows(), ElementsAre(1, 3)) << "five rows in all";
  const TensorView kept = pair.target().runner().draft_logits();
  for (const size_t s : {size_t{0}, size_t{2}}) {
    std::vector<int32_t> ids = sequences[s].tokens;
    ids.insert(ids.end(), tasks[s].proposed().begin(), tasks[s].proposed().end());
    const Rows logits = pair.draft().Logits(ids, 64);
    for (size_t i = 0; i < tasks[s].proposed_rows().size(); ++i) {
      const float* row = kept.Row<float>(tasks[s].draft_rows[i]);
      for (size_t id = 0; id < kVocab; ++id) EXPECT_EQ(row[id], logits[9 + i][id] / 0.5f);
    }
  }
}

// What a sequence says in rejection mode depends on its seed and on how much was drafted when, not
// on its neighbours; greedy requests say what they always say.
TEST(ModelDrafterTest, RejectionReplaysWithTheSameDepths) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"),
            PairOptions({.verify_mode = VerifyMode::kRejection}));
  const auto generate = [&](int num_neighbours, float temperature, int depth) {
    std::vector<PairSequence> sequences;
    for (int s = 0; s <= num_neighbours; ++s) {
      const auto seed = static_cast<uint32_t>(s);
      sequences.push_back(pair.NewSequence(SomeTokens(12, kVocab, seed),
                                           {.temperature = temperature, .seed = seed}, 52));
    }
    std::vector<PairSequence*> all;
    for (PairSequence& sequence : sequences) all.push_back(&sequence);
    for (int step = 0; sequences[0].output().size() < 40; ++step) {
      for (PairSequence& sequence : sequences) sequence.num_drafts = (step * depth) % 4;
      pair.Step(all);
      std::erase_if(all, [](const PairSequence* s) { return s->output().size() > 44; });
    }
    const auto output = sequences[0].output().first(40);
    return std::vector<int32_t>(output.begin(), output.end());
  };
  EXPECT_EQ(generate(0, 1, 1), generate(3, 1, 1));
  EXPECT_EQ(generate(0, 0, 1), generate(0, 0, 3));
}

// More sequences than one slice of logits holds: kept rows go on from slice to slice, past greedy
// neighbours that keep none.
TEST(ModelDrafterTest, KeepsRowsAcrossSlices) {
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("qwen3_norm"),
            PairOptions({.max_logit_rows = 5, .verify_mode = VerifyMode::kRejection}));
  std::vector<PairSequence> sequences;
  for (uint32_t seed = 0; seed < 9; ++seed) {
    const float temperature = seed % 2 == 1 ? 0.0f : 0.5f;
    sequences.push_back(pair.NewSequence(SomeTokens(10, kVocab, seed),
                                         {.temperature = temperature, .seed = seed}, 6));
    sequences.back().num_drafts = 1;
  }
  std::vector<DraftTask> tasks;
  for (PairSequence& sequence : sequences) tasks.push_back(pair.TaskOf(sequence));
  pair.drafter().Propose(tasks);
  const TensorView kept = pair.target().runner().draft_logits();
  for (size_t s = 0; s < 9; ++s) {
    ASSERT_EQ(tasks[s].num_drafts, 1);
    const int32_t row = tasks[s].draft_rows[0];
    EXPECT_EQ(row, s % 2 == 1 ? -1 : static_cast<int32_t>(s / 2));
    if (row < 0) continue;
    const Rows logits = pair.draft().Logits(sequences[s].tokens, 64);
    for (size_t id = 0; id < kVocab; ++id) {
      EXPECT_EQ(kept.Row<float>(row)[id], logits.back()[id] / 0.5f);
    }
  }
}

// A target whose table has more ids than the draft's: those have no chance as drafts.
TEST(ModelDrafterTest, IdsTheDraftLacksAreNeverProposed) {
  const TestFolder wide("_target");
  const TestFolder narrow("_draft");
  WriteRandomModel(wide, 64, 4, 0);
  WriteRandomModel(narrow, 50, 4, 0);
  Pair pair(wide.path(), narrow.path(), PairOptions({.verify_mode = VerifyMode::kRejection}));
  PairSequence sequence =
      pair.NewSequence(SomeTokens(10, 50, 11), {.temperature = 1, .seed = 1}, 20);
  sequence.sampling.logit_bias = {{60, 0.5f}};
  sequence.num_drafts = 2;
  DraftTask task = pair.TaskOf(sequence);
  pair.drafter().Propose(std::span(&task, 1));
  const float* row = pair.target().runner().draft_logits().Row<float>(task.draft_rows[1]);
  EXPECT_GT(row[49], -INFINITY);
  for (int id = 50; id < 64; ++id) EXPECT_EQ(row[id], -INFINITY);
  pair.Step(sequence);
  EXPECT_EQ(sequence.num_proposed, 2);
}

}  // namespace
}  // namespace runahead
