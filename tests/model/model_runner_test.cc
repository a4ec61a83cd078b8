#include "model/model_runner.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/safetensors_file.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<int32_t> SomeIds(int count, int vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) {
    ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab)));
  }
  return ids;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int32_t ArgMax(const std::vector<float>& row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// Where steps are computed in the caller's time there is nothing to do meanwhile.
TEST(ModelRunnerMeanwhileTest, HostsHaveNoTimeForIt) {
  TestModel model(GoldenModel("tiny_llama"), {.backend = "cpu"});
  EXPECT_FALSE(model.runner().DoMeanwhile([] { FAIL() << "never"; }));
  const std::vector<int32_t> ids = {1, 2, 3};
  EXPECT_EQ(model.Logits(ids, 3).size(), 3u);
}

class ModelRunnerTest : public testing::TestWithParam<std::string> {
 protected:
  ModelRunnerTest() : model_(GoldenModel("tiny_llama"), {.backend = GetParam()}) {}

  // Tokens one sequence generates, one step each after its prompt.
  std::vector<int32_t> Generate(std::vector<int32_t> ids, const SamplingParams& sampling,
                                int num_tokens) {
    const size_t prompt = ids.size();
    const auto table = model_.NewTable(static_cast<int>(prompt) + num_tokens);
    int computed = 0;
    for (int i = 0; i < num_tokens; ++i) {
      const SequenceRun run = {.tokens = std::span(ids).subspan(static_cast<size_t>(computed)),
                               .num_computed = computed,
                               .block_table = table,
                               .wants_token = true,
                               .sampling = &sampling,
                               .prompt = std::span(ids).first(prompt),
                               .output = std::span(ids).subspan(prompt)};
      computed = static_cast<int>(ids.size());
      ids.push_back(model_.runner().Run(std::span(&run, 1)).token_ids.at(0));
    }
    return {ids.begin() + static_cast<std::ptrdiff_t>(prompt), ids.end()};
  }

  TestModel model_;
};

TEST_P(ModelRunnerTest, GreedyTokensAreTheArgMaxOfTheLogits) {
  std::vector<int32_t> ids = SomeIds(20, model_.config().vocab_size, 1);
  const std::vector<int32_t> tokens = Generate(ids, {.temperature = 0}, 24);
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  const Rows logits = model_.Logits(ids, 128);
  for (size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], ArgMax(logits[19 + i])) << i;
}

// One request of the equivalence tests: a fixed sequence of ids, run in random pieces.
struct Script {
  std::vector<int32_t> ids;
  std::vector<int32_t> table;
  int computed = 0;
};

// Rows of logits by (request, position), gathered while requests advance by random chunks in random
// batches.
std::map<std::pair<size_t, int>, std::vector<float>> RunRandomly(TestModel& model,
                                                                 std::vector<Script> scripts,
                                                                 uint32_t seed) {
  std::mt19937 random(seed);
  std::map<std::pair<size_t, int>, std::vector<float>> logits;
  for (bool left = true; left;) {
    std::vector<SequenceRun> runs;
    std::vector<size_t> who;
    left = false;
    for (size_t i = 0; i < scripts.size(); ++i) {
      const int rest = static_cast<int>(scripts[i].ids.size()) - scripts[i].computed;
      left = left || rest > 0;
      if (rest == 0 || random() % 3 == 0) continue;
      const int chunk = std::min(rest, 1 + static_cast<int>(random() % (random() % 2 ? 1 : 40)));
      runs.push_back({.tokens = std::span(scripts[i].ids)
                                    .subspan(static_cast<size_t>(scripts[i].computed),
                                             static_cast<size_t>(chunk)),
                      .num_computed = scripts[i].computed,
                      .block_table = scripts[i].table});
      who.push_back(i);
    }
    std::vector<size_t> order(runs.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    std::vector<SequenceRun> shuffled;
    int num_rows = 0;
    for (const size_t i : order) {
      shuffled.push_back(runs[i]);
      num_rows += static_cast<int>(runs[i].tokens.size());
    }
    model.runner().Run(shuffled);
    Rows rows = model.LastLogits(num_rows);
    size_t row = 0;
    for (const size_t i : order) {
      Script& script = scripts[who[i]];
      for (size_t t = 0; t < runs[i].tokens.size(); ++t) {
        logits[{who[i], script.computed++}] = std::move(rows[row++]);
      }
    }
  }
  return logits;
}

// One request alone in one piece is the truth; every batching, chunking and choice of blocks must
// give the same bits.
TEST_P(ModelRunnerTest, LogitsDoNotDependOnBatchOrChunks) {
  for (const char* name : {"tiny_llama", "mistral_window", "qwen3_norm"}) {
    for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16}) {
      TestModel model(GoldenModel(name),
                      {.backend = GetParam(),
                       .num_threads = 2,
                       .weights = format,
                       .kv = format == WeightFormat::kF32 ? DType::kF32 : DType::kBF16});
      std::vector<Script> scripts;
      for (const int length : {1, 17, 40, 64, 75, 100}) {
        const auto ids = SomeIds(length, model.config().vocab_size, static_cast<uint32_t>(length));
        scripts.push_back({.ids = ids, .table = model.NewTable(length)});
      }
      for (uint32_t seed = 0; seed < 3; ++seed) {
        const auto logits = RunRandomly(model, scripts, seed);
        for (size_t i = 0; i < scripts.size(); ++i) {
          const Rows alone = model.Logits(scripts[i].ids, 128);  // its own blocks
          for (int p = 0; p < static_cast<int>(alone.size()); ++p) {
            ASSERT_EQ(logits.at({i, p}), alone[static_cast<size_t>(p)])
                << name << " request " << i << " position " << p << " seed " << seed;
          }
        }
      }
    }
  }
}

TEST_P(ModelRunnerTest, DecodingOneByOneEqualsOneShot) {
  const auto ids = SomeIds(90, model_.config().vocab_size, 5);
  const Rows whole = model_.Logits(ids, 128);
  EXPECT_EQ(model_.Logits(ids, 1), whole);
  EXPECT_EQ(model_.Logits(ids, 7), whole);
  EXPECT_EQ(model_.Logits(ids, 64), whole);
}

//  donor:  [a | b | c.......]      40 tokens, B = 16: two full blocks and 8 tokens of a third
//  reader: [a | b | d.......]      shares a and b, and continues in its own copy d of c from token
//  36
// The reader's logits are those of a request that computed all itself; the donor's cache stays as
// it was.
TEST_P(ModelRunnerTest, SharedBlocksAndCopiesChangeNothing) {
  auto ids = SomeIds(60, model_.config().vocab_size, 6);
  const auto donor_ids = std::vector<int32_t>(ids.begin(), ids.begin() + 40);
  for (size_t i = 36; i < 60; ++i) ids[i] = (ids[i] + 1) % model_.config().vocab_size;
  const Rows expected = model_.Logits(ids, 128);
  const auto donor = model_.NewTable(40);
  SequenceRun run = {.tokens = donor_ids, .block_table = donor};
  model_.runner().Run(std::span(&run, 1));
  const Rows donor_logits = model_.LastLogits(40);
  std::vector<int32_t> reader = model_.NewTable(60);
  const int32_t from = donor[2];
  model_.runner().CopyBlocks(std::span(&from, 1), std::span(reader).subspan(2, 1));
  reader[0] = donor[0];
  reader[1] = donor[1];
  run = {.tokens = std::span(ids).subspan(36), .num_computed = 36, .block_table = reader};
  model_.runner().Run(std::span(&run, 1));
  EXPECT_THAT(model_.LastLogits(24), ElementsAreArray(std::span(expected).subspan(36)));
  run = {.tokens = std::span(donor_ids).subspan(39), .num_computed = 39, .block_table = donor};
  model_.runner().Run(std::span(&run, 1));
  EXPECT_EQ(model_.LastLogits(1)[0], donor_logits[39]);
}

// Whatever is proposed, the emitted tokens are those of decoding without drafts, at any
// temperature, with penalties that see the drafts; and a right draft is taken.
TEST_P(ModelRunnerTest, DraftsNeverChangeTheTokens) {
  const auto prompt = SomeIds(20, model_.config().vocab_size, 9);
  SamplingParams penalized = {.temperature = 0.8f, .top_p = 0.9f, .seed = 4};
  penalized.repetition_penalty = 1.3f;
  penalized.frequency_penalty = 0.4f;
  std::mt19937 random(3);
  for (const SamplingParams& sampling : {SamplingParams{.temperature = 0},
                                         SamplingParams{.temperature = 1, .seed = 77}, penalized}) {
    const std::vector<int32_t> expected = Generate(prompt, sampling, 40);
    std::vector<int32_t> ids = prompt;
    const auto table = model_.NewTable(120);
    int computed = 0;
    int num_accepted = 0;
    TokenCounts counts;
    while (ids.size() < prompt.size() + expected.size() - 6) {
      const size_t num_output = ids.size() - prompt.size();
      std::vector<int32_t> tokens(ids.begin() + computed, ids.end());
      const int num_drafts = static_cast<int>(random() % 5);
      const int num_right = static_cast<int>(random() % 6);
      for (int i = 0; i < num_drafts; ++i) {
        const int32_t right = expected[num_output + static_cast<size_t>(i)];
        tokens.push_back(i < num_right ? right : (right + 1) % model_.config().vocab_size);
      }
      const SequenceRun run = {.tokens = tokens,
                               .num_computed = computed,
                               .block_table = table,
                               .num_drafts = num_drafts,
                               .wants_token = true,
                               .sampling = &sampling,
                               .prompt = prompt,
                               .output = std::span(ids).subspan(prompt.size()),
                               .counts = &counts};
      const ModelOutput& out = model_.runner().Run(std::span(&run, 1));
      EXPECT_EQ(out.token_ids.size(), static_cast<size_t>(std::min(num_drafts, num_right)) + 1);
      num_accepted += static_cast<int>(out.token_ids.size()) - 1;
      computed = static_cast<int>(ids.size()) + static_cast<int>(out.token_ids.size()) - 1;
      ids.insert(ids.end(), out.token_ids.begin(), out.token_ids.end());
      const std::vector<int32_t> output(ids.begin() + 20, ids.end());
      ASSERT_THAT(output, ElementsAreArray(std::span(expected).first(output.size())));
    }
    EXPECT_GT(num_accepted, 5);
  }
}

double LogSumExp(const std::vector<float>& row) {
  const double highest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float value : row) sum += std::exp(value - highest);
  return highest + std::log(sum);
}

void ExpectLogprobs(const PositionLogprobs& actual, const std::vector<float>& raw, int32_t token,
                    size_t num_top) {
  const double total = LogSumExp(raw);
  const float own = raw[static_cast<size_t>(token)];
  EXPECT_EQ(actual.chosen.token, token);
  EXPECT_NEAR(actual.chosen.logprob, own - total, 1e-5);
  EXPECT_EQ(actual.chosen.rank,
            1 + std::count_if(raw.begin(), raw.end(), [&](float l) { return l > own; }));
  ASSERT_EQ(actual.top.size(), num_top);
  if (num_top > 0) {
    EXPECT_EQ(actual.top[0].token, ArgMax(raw));
  }
  for (size_t i = 0; i < num_top; ++i) {
    EXPECT_EQ(actual.top[i].rank, static_cast<int32_t>(i) + 1);
    EXPECT_NEAR(actual.top[i].logprob, raw[static_cast<size_t>(actual.top[i].token)] - total, 1e-5);
  }
}

// Three sequences: one with logprobs and a bias that changes its token, one with none, one with
// drafts and only the chosen logprob. Each reads its own raw logits.
TEST_P(ModelRunnerTest, LogprobsAreThoseOfTheRawLogits) {
  const auto ids = SomeIds(30, model_.config().vocab_size, 2);
  const Rows raw = model_.Logits(ids, 128);
  SamplingParams biased = {.temperature = 0.5f, .seed = 1, .num_logprobs = 4};
  biased.logit_bias = {{17, 60}};
  const SamplingParams plain = {.temperature = 0};
  const SamplingParams chosen_only = {.temperature = 0, .num_logprobs = 0};
  const auto first = model_.NewTable(40);
  const auto second = model_.NewTable(40);
  const auto third = model_.NewTable(40);
  std::vector<int32_t> with_drafts(ids.begin(), ids.begin() + 10);
  const int32_t right = ArgMax(raw[9]);
  with_drafts.push_back(right);
  with_drafts.push_back(ids[11]);
  const SequenceRun runs[] = {
      {.tokens = ids, .block_table = first, .wants_token = true, .sampling = &biased},
      {.tokens = ids, .block_table = second, .wants_token = true, .sampling = &plain},
      {.tokens = with_drafts,
       .block_table = third,
       .num_drafts = 2,
       .wants_token = true,
       .sampling = &chosen_only}};
  const ModelOutput& out = model_.runner().Run(runs);
  ASSERT_EQ(out.logprobs.size(), out.token_ids.size());
  EXPECT_EQ(out.TokensOf(0)[0], 17);
  ExpectLogprobs(out.logprobs[0], raw[29], 17, 4);
  EXPECT_EQ(out.TokensOf(1)[0], ArgMax(raw[29]));
  EXPECT_TRUE(out.logprobs[1].top.empty());
  EXPECT_EQ(out.logprobs[1].chosen.rank, 0);
  ASSERT_GE(out.TokensOf(2).size(), 2u);
  EXPECT_EQ(out.TokensOf(2)[0], right);
  ExpectLogprobs(out.logprobs[2], raw[9], right, 0);
}

TEST_P(ModelRunnerTest, PromptLogprobsJudgeTheTokenAfterEachRow) {
  const auto ids = SomeIds(30, model_.config().vocab_size, 3);
  const Rows raw = model_.Logits(ids, 128);
  const SamplingParams sampling = {.temperature = 0, .num_prompt_logprobs = 2};
  const auto table = model_.NewTable(30);
  SequenceRun run = {.tokens = std::span(ids).first(12),
                     .block_table = table,
                     .sampling = &sampling,
                     .wants_prompt_logprobs = true,
                     .next_prompt_token = ids[12]};
  const ModelOutput& out = model_.runner().Run(std::span(&run, 1));
  EXPECT_TRUE(out.token_ids.empty());
  ASSERT_EQ(out.prompt_logprobs[0].size(), 12u);
  for (size_t i = 0; i < 12; ++i) ExpectLogprobs(out.prompt_logprobs[0][i], raw[i], ids[i + 1], 2);
  run.tokens = std::span(ids).subspan(12);
  run.num_computed = 12;
  run.wants_token = true;
  run.next_prompt_token = -1;
  const ModelOutput& last = model_.runner().Run(std::span(&run, 1));
  EXPECT_EQ(last.TokensOf(0)[0], ArgMax(raw[29]));
  ASSERT_EQ(last.prompt_logprobs[0].size(), 17u);
  for (size_t i = 0; i < 17; ++i) {
    ExpectLogprobs(last.prompt_logprobs[0][i], raw[12 + i], ids[13 + i], 2);
  }
  run.wants_prompt_logprobs = false;
  EXPECT_TRUE(model_.runner().Run(std::span(&run, 1)).prompt_logprobs[0].empty());
}

// Narrow limits cut a step's logit rows into many slices; the output must not show it.
TEST_P(ModelRunnerTest, SlicesDoNotShow) {
  TestModel narrow(GoldenModel("tiny_llama"), {.backend = GetParam(),
                                               .limits = {.max_rows = 256,
                                                          .max_sequences = 32,
                                                          .max_logit_rows = 3,
                                                          .max_context = 128,
                                                          .block_size = 16}});
  std::vector<std::vector<int32_t>> ids;
  std::vector<SamplingParams> sampling;
  for (uint32_t s = 0; s < 8; ++s) {
    ids.push_back(SomeIds(10 + static_cast<int>(s), model_.config().vocab_size, s));
    sampling.push_back({.temperature = 1, .seed = s});
    sampling.back().num_logprobs = s % 3 == 0 ? -1 : static_cast<int>(s % 3);
    sampling.back().num_prompt_logprobs = static_cast<int>(s % 2);
  }
  const auto run_in = [&](TestModel& model) {
    std::vector<std::vector<int32_t>> tables;
    std::vector<SequenceRun> runs;
    for (size_t s = 0; s < 8; ++s) tables.push_back(model.NewTable(32));
    for (size_t s = 0; s < 8; ++s) {
      runs.push_back({.tokens = ids[s],
                      .block_table = tables[s],
                      .num_drafts = static_cast<int>(s % 3),
                      .wants_token = s != 5,
                      .sampling = &sampling[s],
                      .wants_prompt_logprobs = s == 2 || s == 5});
    }
    return model.runner().Run(runs);  // a copy
  };
  const ModelOutput wide_out = run_in(model_);
  const ModelOutput narrow_out = run_in(narrow);
  EXPECT_EQ(narrow_out.token_ids, wide_out.token_ids);
  EXPECT_EQ(narrow_out.offsets, wide_out.offsets);
  const auto expect_equal = [](const PositionLogprobs& a, const PositionLogprobs& b) {
    EXPECT_EQ(a.chosen.token, b.chosen.token);
    EXPECT_EQ(a.chosen.logprob, b.chosen.logprob);
    ASSERT_EQ(a.top.size(), b.top.size());
    for (size_t i = 0; i < a.top.size(); ++i) EXPECT_EQ(a.top[i].logprob, b.top[i].logprob);
  };
  ASSERT_EQ(narrow_out.logprobs.size(), wide_out.logprobs.size());
  for (size_t i = 0; i < wide_out.logprobs.size(); ++i) {
    expect_equal(narrow_out.logprobs[i], wide_out.logprobs[i]);
  }
  for (size_t s = 0; s < 8; ++s) {
    ASSERT_EQ(narrow_out.prompt_logprobs[s].size(), wide_out.prompt_logprobs[s].size());
    EXPECT_EQ(wide_out.prompt_logprobs[s].empty(), s != 2 && s != 5);
    for (size_t i = 0; i < wide_out.prompt_logprobs[s].size(); ++i) {
      expect_equal(narrow_out.prompt_logprobs[s][i], wide_out.prompt_logprobs[s][i]);
    }
  }
}

TEST_P(ModelRunnerTest, SuppressedAndBannedIdsAreNotChosen) {
  const auto ids = SomeIds(12, model_.config().vocab_size, 8);
  const auto table = model_.NewTable(16);
  SamplingParams sampling = {.temperature = 0};
  SequenceRun run = {
      .tokens = ids, .block_table = table, .wants_token = true, .sampling = &sampling};
  const int32_t favourite = model_.runner().Run(std::span(&run, 1)).token_ids[0];
  run.suppressed = std::span(&favourite, 1);
  EXPECT_EQ(model_.runner().Run(std::span(&run, 1)).token_ids[0], favourite);  // for no row
  run.num_suppressed_rows = 1;
  const int32_t second = model_.runner().Run(std::span(&run, 1)).token_ids[0];
  EXPECT_NE(second, favourite);
  sampling.banned_token_ids = {second};
  const int32_t third = model_.runner().Run(std::span(&run, 1)).token_ids[0];
  EXPECT_NE(third, second);
  EXPECT_NE(third, favourite);
  sampling.allowed_token_ids = {42};
  EXPECT_EQ(model_.runner().Run(std::span(&run, 1)).token_ids[0], 42);
}

// The same weights with ids from 100 on declared to be no tokens: the other logits keep their bits,
// and sampling, logprobs and ranks see nothing else.
TEST_P(ModelRunnerTest, IdsPastTheVocabularyLimitAreNoTokens) {
  constexpr int kLimit = 100;
  TestFolder folder;
  const std::string config = Contents(GoldenModel("tiny_llama") + "/config.json");
  folder.Write("config.json", "{\"runahead_vocab_limit\":100," + config.substr(1));
  folder.Write("model.safetensors", Contents(GoldenModel("tiny_llama") + "/model.safetensors"));
  TestModel limited(folder.path(), {.backend = GetParam()});
  const auto ids = SomeIds(30, kLimit, 4);
  Rows raw = model_.Logits(ids, 128);
  for (auto& row : raw) row.resize(kLimit);
  EXPECT_EQ(limited.Logits(ids, 128), raw);

  std::vector<SamplingParams> sampling(24, {.temperature = 1.5f, .num_logprobs = 20});
  std::vector<std::vector<int32_t>> tables;
  std::vector<SequenceRun> runs;
  for (uint32_t s = 0; s < 24; ++s) {
    sampling[s].seed = s;
    if (s % 3 == 1) sampling[s].temperature = 0;
    if (s % 3 == 2) sampling[s].top_p = 0.9f;
    sampling[s].num_prompt_logprobs = 2;
    const auto length = static_cast<int>(6 + s % 3);
    tables.push_back(limited.NewTable(16));
    runs.push_back({.tokens = std::span(ids).first(static_cast<size_t>(length)),
                    .wants_token = true,
                    .sampling = &sampling[s],
                    .wants_prompt_logprobs = true});
  }
  for (size_t s = 0; s < 24; ++s) runs[s].block_table = tables[s];
  const ModelOutput& out = limited.runner().Run(runs);
  for (size_t s = 0; s < 24; ++s) {
    const std::vector<float>& row = raw[5 + s % 3];
    const int32_t token = out.TokensOf(static_cast<int>(s))[0];
    ASSERT_LT(token, kLimit);
    if (s % 3 == 1) {
      EXPECT_EQ(token, ArgMax(row));
    }
    ExpectLogprobs(out.logprobs[s], row, token, 20);
    for (size_t i = 0; i < 5; ++i) {
      ExpectLogprobs(out.prompt_logprobs[s][i], raw[i], ids[i + 1], 2);
    }
  }
}

TEST_P(ModelRunnerTest, AnEmptyStepIsNothing) {
  const ModelOutput& out = model_.runner().Run({});
  EXPECT_TRUE(out.token_ids.empty());
  EXPECT_THAT(out.offsets, ElementsAre(0));
}

INSTANTIATE_TEST_SUITE_P(Backends, ModelRunnerTest, testing::ValuesIn(BackendNames()));

}  // namespace
}  // namespace runahead
