#include "model/weight_source.h"

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/safetensors_file.h"

namespace runahead {
namespace {

using testing::HasSubstr;

std::vector<float> Values(const HostTensor& tensor) {
  std::vector<float> values;
  for (int64_t i = 0; i < tensor.view.NumElements(); ++i) {
    values.push_back(ToFloat(static_cast<const BFloat16*>(tensor.view.data)[i]));
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
  EXPECT_NEAR(sum / n, 0, 1e-3);
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
  EXPECT_GT(rows.size(), 1990u);
  const auto gains = Values(source->Fetch("input_layernorm.weight", {5}).value());
  EXPECT_EQ(gains, std::vector<float>(5, 1.0f));
  EXPECT_TRUE(source->Finish().ok());
}

TEST(DummySourceTest, TheSameEveryTime) {
  const auto one = MakeDummySource();
  const auto two = MakeDummySource();
  EXPECT_EQ(Values(one->Fetch("a.weight", {8, 16}).value()),
            Values(two->Fetch("a.weight", {8, 16}).value()));
}

class CheckpointSourceTest : public testing::Test {
 protected:
  // One U8-sized tensor of each name.
  void Write(const std::vector<std::string>& names) {
    std::string header;
    for (size_t i = 0; i < names.size(); ++i) {
      header += (i > 0 ? ",\"" : "{\"") + names[i] + R"(":{"dtype":"F16","shape":[1],)" +
                "\"data_offsets\":[" + std::to_string(2 * i) + "," + std::to_string(2 * i + 2) +
                "]}";
    }
    folder_.Write("model.safetensors",
                  SafetensorsBytes(header + "}", std::string(2 * names.size(), 'x')));
  }
  TestFolder folder_;
};

TEST_F(CheckpointSourceTest, ATensorNobodyFetchedIsNamed) {
  Write({"a", "layers.0.self_attn.q_proj.bias"});
  const auto source = OpenCheckpointSource(folder_.path(), {}).value();
  ASSERT_TRUE(source->Fetch("a", {1}).ok());
  EXPECT_THAT(source->Finish().message(), HasSubstr("self_attn.q_proj.bias"));
}

TEST_F(CheckpointSourceTest, HarmlessLeftoversAreIgnored) {
  Write({"a", "layers.0.rotary_emb.inv_freq", "lm_head.weight"});
  ModelConfig config;
  config.tie_embeddings = true;
  const auto tied = OpenCheckpointSource(folder_.path(), config).value();
  ASSERT_TRUE(tied->Fetch("a", {1}).ok());
  EXPECT_TRUE(tied->Finish().ok());
  const auto untied = OpenCheckpointSource(folder_.path(), {}).value();
  ASSERT_TRUE(untied->Fetch("a", {1}).ok());
  EXPECT_THAT(untied->Finish().message(), HasSubstr("lm_head.weight"));
}

TEST_F(CheckpointSourceTest, NoCheckpointIsAnError) {
  EXPECT_EQ(OpenCheckpointSource(folder_.path(), {}).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace runahead
