#include "model/model_runner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

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

int32_t ArgMax(const std::vector<float>& row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
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

INSTANTIATE_TEST_SUITE_P(Backends, ModelRunnerTest, testing::ValuesIn(BackendNames()));

}  // namespace
}  // namespace runahead
