#include "model/weight_source.h"

#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"

#include "tests/model/test_model.h"

namespace runahead {
namespace {

std::vector<float> Values(const HostTensor& tensor) {
  std::vector<float> values;
  const bool is_matrix = tensor.view.rank == 2;
  for (int64_t row = 0; row < (is_matrix ? tensor.view.dim(0) : 1); ++row) {
    for (int64_t i = 0; i < (is_matrix ? tensor.view.dim(1) : tensor.view.dim(0)); ++i) {
      values.push_back(ToFloat((is_matrix ? tensor.view.Row<BFloat16>(row)
                                          : static_cast<const BFloat16*>(tensor.view.data))[i]));
    }
  }
  return values;
}

TEST(DummySourceTest, MatricesAreNormalWithDeviationOneOverRootK) {
  const auto source = MakeDummySource();
  const auto values = Values(source->Fetch("m.weight", {700, 400}).value());
  double sum = 0;
  double squares = 0;
  for (const float v : values) {
    sum += v;
    squares += double{v} * v;
  }
  const auto n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0, 2e-3);
  EXPECT_NEAR(std::sqrt(squares / n) * 20, 1, 0.02);
}

TEST(DummySourceTest, RowsDifferAndTensorsDiffer) {
  const auto source = MakeDummySource();
  std::set<std::vector<float>> rows;
  for (const char* name : {"a.weight", "b.weight"}) {
    const auto values = Values(source->Fetch(name, {1000, 256}).value());
    for (int64_t r = 0; r < 1000; ++r) {
      rows.emplace(values.begin() + r * 256, values.begin() + (r + 1) * 256);
    }
  }
  EXPECT_EQ(rows.size(), 2000u);
  const auto gains = Values(source->Fetch("input_layernorm.weight", {5}).value());
  EXPECT_EQ(gains, std::vector<float>(5, 1.0f));
}

TEST(DummySourceTest, TheSameEveryTime) {
  const auto one = MakeDummySource();
  const auto two = MakeDummySource();
  EXPECT_EQ(Values(one->Fetch("a.weight", {8, 16}).value()),
            Values(two->Fetch("a.weight", {8, 16}).value()));
}

TEST(CheckpointSourceTest, GivesTheTensorsOfACheckedCheckpoint) {
  const auto config = LoadModelConfig(GoldenModel("llama_gqa")).value();
  const auto source = OpenCheckpointSource(GoldenModel("llama_gqa"), config).value();
  EXPECT_EQ(source->Fetch("model.norm.weight", {32})->view.dtype, DType::kF32);
  EXPECT_FALSE(source->Fetch("model.norm.weight", {33}).ok());
  EXPECT_FALSE(OpenCheckpointSource(GoldenModel("llama_bias"), config).ok());
  EXPECT_EQ(OpenCheckpointSource("/nowhere", config).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace runahead
