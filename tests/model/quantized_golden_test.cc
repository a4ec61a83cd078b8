// Checkpoints that the compressed-tensors package wrote (tools/golden/quantized.py), against the
// logits Hugging Face transformers gives for them.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "model/transformer.h"
#include "tests/model/golden_logits.h"
#include "tests/model/test_model.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

std::string Folder(const std::string& name) {
  return SourceDir() + "/tests/golden/quantized/" + name;
}

std::vector<std::string> QuantizedModels() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Folder(""))) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

double RelativeError(const std::vector<float>& actual, const std::vector<float>& expected) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(double{actual[i]} - expected[i], 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(error / norm);
}

class QuantizedGoldenTest : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

// The weights as floats, activations in f32: the bound of docs/numerics.md, "Model goldens".
TEST_P(QuantizedGoldenTest, TheWeightsAreTransformers) {
  const auto& [name, backend] = GetParam();
  WeightFormats floats = WeightFormat::kF32;
  floats.rules = {{"*", std::nullopt}};
  TestModel model(Folder(name), {.backend = backend, .weights = floats});
  EXPECT_FALSE(model.config().quantized.empty());
  for (const GoldenPrompt& prompt : ReadGolden(Folder(name)).prompts) {
    const Rows rows = model.Logits(prompt.ids, 128);
    for (size_t i = 0; i < prompt.rows.size(); ++i) {
      EXPECT_LE(RelativeError(rows[static_cast<size_t>(prompt.rows[i])], prompt.logits[i]), 1e-4)
          << "row " << prompt.rows[i] << " of " << prompt.ids.size();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedGoldenTest,
                         testing::Combine(testing::ValuesIn(QuantizedModels()),
                                          testing::Values("ref", "cpu")),
                         [](const auto& instance) {
                           return std::get<0>(instance.param) + "_" + std::get<1>(instance.param);
                         });

}  // namespace
}  // namespace runahead
