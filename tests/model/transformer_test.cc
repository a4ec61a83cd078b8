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

struct Case {
  std::string model;
  std::string backend;
};

class GoldenTest : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  double WorstError(const TestModelOptions& options) {
    const std::string directory = GoldenModel(std::get<0>(GetParam()));
    TestModel model(directory, options);
    double worst = 0;
    for (const GoldenPrompt& prompt : ReadGolden(directory)) {
      const Rows rows = model.Logits(prompt.ids, 128);
      for (size_t i = 0; i < prompt.rows.size(); ++i) {
        const double error =
            RelativeError(rows[static_cast<size_t>(prompt.rows[i])], prompt.logits[i]);
        if (!(error <= worst)) worst = error;
      }
    }
    return worst;
  }
};

TEST_P(GoldenTest, F32EqualsTransformers) {
  EXPECT_LE(WorstError({.backend = std::get<1>(GetParam())}), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         testing::Combine(testing::ValuesIn(GoldenModels()),
                                          testing::ValuesIn(BackendNames())),
                         [](const auto& instance) {
                           return std::get<0>(instance.param) + "_" + std::get<1>(instance.param);
                         });

}  // namespace
}  // namespace runahead
