#include "model/workspace.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

ModelConfig Config() {
  ModelConfig config;
  config.hidden_size = 48;
  config.num_heads = 3;
  config.num_kv_heads = 1;
  config.head_dim = 16;
  config.intermediate_size = 100;
  config.vocab_size = 2000;
  return config;
}

// Room for what the names say, in order, each at a whole 256 bytes.
TEST(WorkspaceLayoutTest, BuffersLieApart) {
  const RunnerLimits limits = {.max_rows = 10, .max_logit_rows = 100};
  const WorkspaceLayout layout(Config(), limits, DType::kBF16);
  const std::vector<int64_t> begins = {
      layout.residual,    layout.branch,      layout.normed,       layout.qkv,
      layout.attention,   layout.gate_up,     layout.gated,        layout.gathered,
      layout.logits,      layout.spare,       layout.survivor_ids, layout.survivor_counts,
      layout.last_tokens, layout.draft_logits};
  EXPECT_TRUE(std::ranges::is_sorted(begins));
  for (const int64_t begin : begins) EXPECT_EQ(begin % 256, 0);
  EXPECT_GE(layout.branch - layout.residual, 10 * 48 * 2);
  EXPECT_GE(layout.attention - layout.qkv, 10 * (3 + 2) * 16 * 2);
  EXPECT_GE(layout.gated - layout.gate_up, 10 * 200 * 2);
  EXPECT_GE(layout.spare - layout.logits, 100 * 2000 * 4);
  EXPECT_GE(layout.survivor_ids - layout.spare, 64 * 2000 * 4);
  EXPECT_GE(layout.survivor_counts - layout.survivor_ids, 100 * kSurvivorCapacity * 4);
  EXPECT_EQ(layout.total, layout.draft_logits) << "coupled mode keeps none";
}

TEST(WorkspaceLayoutTest, RejectionKeepsWhatDraftsWereDrawnFrom) {
  const RunnerLimits limits = {.max_logit_rows = 100, .verify_mode = VerifyMode::kRejection};
  const WorkspaceLayout layout(Config(), limits, DType::kF32);
  EXPECT_GE(layout.total - layout.draft_logits, 100 * 2000 * 4);
}

}  // namespace
}  // namespace runahead
