// Models whose weights are rounded while they load, on every backend and instruction set.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/golden_logits.h"
#include "tests/model/safetensors_file.h"
#include "tests/model/test_model.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

using testing::HasSubstr;

constexpr WeightFormat kInt4Groups32{WeightType::kInt4, 32, false};
constexpr WeightFormat kInt4Zeros{WeightType::kInt4, 64, true};

// INT8 throughout, INT4 of both kinds, and a mixture in which every kind of op meets every kind of
// row.
std::vector<WeightFormats> AllFormats() {
  WeightFormats mixed = kInt4Groups32;
  mixed.rules = {{"down_proj", WeightFormat::kInt8},
                 {"o_proj", std::nullopt},
                 {"lm_head", WeightFormat::kInt8},
                 {"embed_tokens", std::nullopt}};
  return {WeightFormat::kInt8, kInt4Groups32, kInt4Zeros, mixed};
}

TestModelOptions Options(const std::string& machine, const WeightFormats& weights) {
  const bool is_ref = machine == "ref";
  return {.backend = is_ref ? "ref" : "cpu",
          .isa = is_ref ? "" : machine,
          .weights = weights,
          .kv = DType::kF32};
}

double Distance(const Rows& a, const Rows& b) {
  double sum = 0;
  for (size_t r = 0; r < a.size(); ++r) {
    for (size_t i = 0; i < a[r].size(); ++i) sum += std::pow(double{a[r][i]} - b[r][i], 2);
  }
  return std::sqrt(sum);
}

std::vector<int32_t> PromptOf(const std::string& directory) {
  return ReadGolden(directory).prompts[0].ids;
}

class QuantizedModelTest : public testing::TestWithParam<std::string> {};

// The weights are the same for all; activations round alike but where they lie within an f32
// rounding of two values' middle, so two backends differ by far less than rounding itself changed.
TEST_P(QuantizedModelTest, AgreesWithTheReference) {
  for (const char* name : {"llama_gqa", "llama_tied", "qwen2_bias", "qwen3_wide_heads"}) {
    const std::string directory = GoldenModel(name);
    const std::vector<int32_t> ids = PromptOf(directory);
    const Rows exact = TestModel(directory, Options("ref", WeightFormat::kF32)).Logits(ids, 128);
    for (const WeightFormats& weights : AllFormats()) {
      const Rows expected = TestModel(directory, Options("ref", weights)).Logits(ids, 128);
      const Rows actual = TestModel(directory, Options(GetParam(), weights)).Logits(ids, 128);
      const double rounded = Distance(expected, exact);
      EXPECT_GT(rounded, 0);
      EXPECT_LE(Distance(actual, expected), 0.25 * rounded) << name;
      // And rounding changes little: weights of 4 bits err by a tenth of their size.
      EXPECT_LE(rounded,
                0.35 * Distance(exact, Rows(exact.size(), std::vector<float>(exact[0].size()))))
          << name;
    }
  }
}

// A row's bits do not depend on the chunk it came in.
TEST_P(QuantizedModelTest, ChunksDoNotChangeABit) {
  const std::string directory = GoldenModel("llama_gqa");
  const std::vector<int32_t> ids = PromptOf(directory);
  for (const WeightFormats& weights : AllFormats()) {
    TestModel model(directory, Options(GetParam(), weights));
    const Rows whole = model.Logits(ids, 128);
    for (const int chunk : {1, 3, 7}) EXPECT_EQ(model.Logits(ids, chunk), whole) << chunk;
  }
}

TEST_P(QuantizedModelTest, ThreadsDoNotChangeABit) {
  const std::string directory = GoldenModel("qwen2_bias");
  const std::vector<int32_t> ids = PromptOf(directory);
  for (const WeightFormats& weights : AllFormats()) {
    TestModelOptions options = Options(GetParam(), weights);
    const Rows alone = TestModel(directory, options).Logits(ids, 128);
    options.num_threads = 3;
    EXPECT_EQ(TestModel(directory, options).Logits(ids, 128), alone);
  }
}

// The demo model's own greedy words, judged again with rounded weights: mostly the same choices.
TEST(QuantizedDemoTest, ChoosesMostlyTheSameTokens) {
  const std::string directory = SourceDir() + "/models/demo/target";
  const auto most_likely = [](const std::vector<float>& row) {
    return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
  };
  TestModelOptions options = {.backend = "cpu", .weights = WeightFormat::kBF16, .kv = DType::kBF16};
  options.limits.max_context = 128;
  TestModel exact(directory, options);
  std::vector<int32_t> ids = {exact.config().bos_token_id.value_or(0), 400};
  while (ids.size() < 100) ids.push_back(most_likely(exact.Logits(ids, 128).back()));
  const Rows expected = exact.Logits(ids, 128);
  const auto agreement = [&](const WeightFormats& weights) {
    options.weights = weights;
    const Rows actual = TestModel(directory, options).Logits(ids, 128);
    int same = 0;
    for (size_t r = 0; r < actual.size(); ++r) {
      same += most_likely(actual[r]) == most_likely(expected[r]) ? 1 : 0;
    }
    return same;
  };
  EXPECT_GE(agreement(WeightFormat::kInt8), 96);
  EXPECT_GE(agreement(WeightFormat::kInt4), 85);
}

TEST(QuantizedLoadTest, ProgressRisesToOne) {
  const auto backend = MakeBackend("cpu", {}).value();
  for (const char* model : {"llama_bias", "llama_tied"}) {
    std::vector<double> fractions;
    LoadOptions options = {.weight_format = WeightFormat::kInt4};
    options.progress = [&](double fraction) { fractions.push_back(fraction); };
    ASSERT_TRUE(Transformer::Load(*backend, GoldenModel(model), options).ok());
    EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
    EXPECT_DOUBLE_EQ(fractions.back(), 1) << model;
  }
}

// A NaN or an infinity, in a matrix or in a later piece of the table, is refused by its name; an
// override lets it in.
TEST(QuantizedLoadTest, WeightsThatAreNoNumbersAreNamed) {
  const auto backend = MakeBackend("cpu", {}).value();
  const TestFolder folder;
  folder.Write("config.json",
               R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 70000, "hidden_size": 16,
                   "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2})");
  const ModelConfig config = LoadModelConfig(folder.path()).value();
  const auto refusal = [&](const std::string& bad, int64_t at, const WeightFormats& weights) {
    WriteCheckpoint(folder, TensorsOf(config), [&](const NamedShape& tensor, int64_t i) {
      if (tensor.name == bad + ".weight" && i == at) return std::numeric_limits<float>::infinity();
      return static_cast<float>(i % 13) / 16 - 0.3f;
    });
    const auto loaded = Transformer::Load(*backend, folder.path(), {.weight_format = weights});
    return loaded.ok() ? "no error" : loaded.status().message();
  };
  const std::string down = "model.layers.0.mlp.down_proj";
  EXPECT_THAT(refusal(down, 5 * 32 + 1, WeightFormat::kInt4),
              HasSubstr("cannot quantize " + down + ": row 5 holds a NaN or an infinity"));
  WeightFormats spared = WeightFormat::kInt4;
  spared.rules = {{down, std::nullopt}};
  EXPECT_EQ(refusal(down, 5 * 32 + 1, spared), "no error");
  EXPECT_THAT(refusal("model.embed_tokens", 69999 * 16, WeightFormat::kInt8),
              HasSubstr("cannot quantize model.embed_tokens: row 69999 holds"));
}

// A table of more than one piece (1 Mi elements), whose row v holds the pattern of v mod 7.
TEST(QuantizedLoadTest, LargeTablesArriveWhole) {
  const TestFolder folder;
  folder.Write("config.json",
               R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 33000, "hidden_size": 32,
                   "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                   "tie_word_embeddings": true})");
  WriteCheckpoint(folder, TensorsOf(LoadModelConfig(folder.path()).value()),
                  [](const NamedShape& tensor, int64_t i) {
                    const bool is_table = tensor.name == "model.embed_tokens.weight";
                    const int64_t seed = is_table ? i / 32 % 7 * 32 + i % 32 : i;
                    return static_cast<float>(seed * 7919 % 101) / 50 - 1;
                  });
  for (const WeightFormats& weights : AllFormats()) {
    TestModel model(folder.path(), {.backend = "cpu", .weights = weights});
    const auto logits_of = [&](int32_t id) { return model.Logits(std::span(&id, 1), 1)[0]; };
    EXPECT_EQ(logits_of(32999), logits_of(32999 % 7));
    EXPECT_EQ(logits_of(32768), logits_of(32768 % 7));  // the first row of the second piece
    EXPECT_NE(logits_of(32999), logits_of(32998));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, QuantizedModelTest, testing::ValuesIn(CpuIsaNames()),
                         [](const auto& isa) { return isa.param; });

}  // namespace
}  // namespace runahead
