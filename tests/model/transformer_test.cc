#include "model/transformer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/model/golden_logits.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

std::vector<std::string> GoldenModels() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenModel(""))) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// ||actual - expected|| / ||expected||, both over one row.
double RelativeError(const std::vector<float>& actual, const std::vector<float>& expected) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(double{actual[i]} - expected[i], 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(error / norm);
}

// "ref", and the instruction sets of the cpu backend this machine has.
std::vector<std::string> Machines() {
  std::vector<std::string> names = CpuIsaNames();
  names.push_back("ref");
  return names;
}

// (model, machine)
class GoldenTest : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  GoldenTest()
      : directory_(GoldenModel(std::get<0>(GetParam()))), golden_(ReadGolden(directory_)) {}

  // Checks every stored row against ||actual - expected|| / ||expected|| <= bound.
  void ExpectWithin(double bound, WeightFormat weights, DType kv) {
    const std::string& machine = std::get<1>(GetParam());
    const bool is_ref = machine == "ref";
    TestModel model(directory_, {.backend = is_ref ? "ref" : "cpu",
                                 .isa = is_ref ? "" : machine,
                                 .weights = weights,
                                 .kv = kv});
    for (const GoldenPrompt& prompt : golden_.prompts) {
      const Rows rows = model.Logits(prompt.ids, 128);
      for (size_t i = 0; i < prompt.rows.size(); ++i) {
        const auto& actual = rows[static_cast<size_t>(prompt.rows[i])];
        EXPECT_LE(RelativeError(actual, prompt.logits[i]), bound)
            << "row " << prompt.rows[i] << " of " << prompt.ids.size();
      }
    }
  }

  std::string directory_;
  Golden golden_;
};

// docs/numerics.md, "Model goldens": both bounds follow from the reference alone.
TEST_P(GoldenTest, F32EqualsTransformers) { ExpectWithin(1e-4, WeightFormat::kF32, DType::kF32); }

TEST_P(GoldenTest, Bf16StaysWithinItsOwnRounding) {
  ExpectWithin(3 * golden_.bf16_error, WeightFormat::kBF16, DType::kBF16);
}

TEST(TransformerTest, WeightBytesCountEveryBuffer) {
  TestModel model(GoldenModel("llama_tied"), {.backend = "ref"});
  // The reference keeps f32 and a bias of zeros per row; a tied head is packed beside its table.
  const ModelConfig& config = model.config();
  const int64_t table = int64_t{config.vocab_size} * config.hidden_size;
  const int64_t bias_rows = config.num_layers * (config.qkv_rows() + 2 * config.hidden_size +
                                                 2 * config.intermediate_size) +
                            config.vocab_size;
  const int64_t rope = int64_t{config.max_positions} * config.head_dim;
  EXPECT_EQ(model.transformer().weight_bytes(),
            4 * (config.NumWeights() + table + bias_rows + rope));
}

// Three bits more than BF16's round an eighth as far. No instruction set computes in F16.
class F16GoldenTest : public GoldenTest {};
TEST_P(F16GoldenTest, StaysWithinItsOwnRounding) {
  ExpectWithin(3 * golden_.bf16_error / 8, WeightFormat::kF16, DType::kF16);
}

std::string GoldenName(const testing::TestParamInfo<std::tuple<std::string, std::string>>& info) {
  return std::get<0>(info.param) + "_" + std::get<1>(info.param);
}
INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         testing::Combine(testing::ValuesIn(GoldenModels()),
                                          testing::ValuesIn(Machines())),
                         GoldenName);
INSTANTIATE_TEST_SUITE_P(All, F16GoldenTest,
                         testing::Combine(testing::ValuesIn(GoldenModels()),
                                          testing::Values("ref")),
                         GoldenName);

}  // namespace
}  // namespace runahead
