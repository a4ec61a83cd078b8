#include "server/bench_steps.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Takes 1 ms for a row and 1 ms for 16 tokens of context; remembers what it ran.
class MeteredRunner final : public StepRunner {
 public:
  explicit MeteredRunner(ManualClock& clock) : clock_(clock) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    std::set<int32_t> blocks;
    last_rows = 0;
    for (const SequenceRun& run : runs) {
      const int rows = static_cast<int>(run.tokens.size());
      last_rows += rows;
      EXPECT_GE(static_cast<int>(run.block_table.size()) * 16, run.num_computed + rows);
      for (int i = 0; i < (run.num_computed + 15) / 16; ++i) {
        const int32_t block = run.block_table[static_cast<size_t>(i)];
        EXPECT_TRUE(written.contains(block)) << "reads pages that nobody wrote";
      }
      for (const int32_t block : run.block_table) {
        EXPECT_TRUE(blocks.insert(block).second) << "two sequences share block " << block;
        if (run.num_computed == 0) written.insert(block);
      }
      clock_.Advance(milliseconds(rows + run.num_computed / 16));
      last = run;
    }
    contexts.push_back(runs[0].num_computed);
    return output_;
  }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    EXPECT_EQ(from.size(), to.size());
    written.insert(to.begin(), to.end());
  }

  std::set<int32_t> written;
  std::vector<int> contexts;
  int last_rows = 0;
  SequenceRun last;

 private:
  ManualClock& clock_;
  ModelOutput output_;
};

class StepBenchTest : public testing::Test {
 protected:
  Result<std::vector<double>> Measure(const char* line) {
    return bench_.Measure(ParseStepSpec(line).value());
  }

  ManualClock clock_;
  MeteredRunner runner_{clock_};
  StepBench bench_{runner_,
                   {.max_rows = 64,
                    .max_sequences = 8,
                    .max_logit_rows = 16,
                    .max_context = 256,
                    .block_size = 16},
                   /*num_blocks=*/32,
                   /*vocab_size=*/100,
                   clock_};
};

TEST_F(StepBenchTest, DecodesGrowByATokenEachStep) {
  const auto seconds = Measure("decode 4 32 3").value();
  EXPECT_THAT(seconds, ElementsAre(0.012, 0.012, 0.012)) << "4 x (1 row + 32 / 16)";
  ASSERT_GE(runner_.contexts.size(), 4u);
  runner_.contexts.erase(runner_.contexts.begin(), runner_.contexts.end() - 3);
  EXPECT_THAT(runner_.contexts, ElementsAre(32, 33, 34));
  EXPECT_EQ(runner_.last_rows, 4);
  EXPECT_TRUE(runner_.last.wants_token);
}

TEST_F(StepBenchTest, VerifiesAllRowsOfOneSequence) {
  EXPECT_THAT(Measure("verify 5 128 2").value(), ElementsAre(0.013, 0.013));
  EXPECT_EQ(runner_.last.tokens.size(), 5u);
  EXPECT_EQ(runner_.last.num_drafts, 4);
}

TEST_F(StepBenchTest, PrefillsLongPromptsInChunks) {
  EXPECT_THAT(Measure("prefill 150 0 1").value(), ElementsAre(0.150 + 0.004 + 0.008));
  EXPECT_EQ(runner_.last.num_drafts, 0);
  EXPECT_TRUE(runner_.last.wants_token);
  EXPECT_EQ(runner_.last_rows, 150 - 128);
}

TEST_F(StepBenchTest, RefusesWhatDoesNotFit) {
  EXPECT_THAT(Measure("decode 9 1 1").status().message(), HasSubstr("--max-num-seqs"));
  EXPECT_THAT(Measure("verify 17 1 1").status().message(), HasSubstr("--max-logit-rows"));
  EXPECT_THAT(Measure("decode 1 255 2").status().message(), HasSubstr("--max-model-len"));
  EXPECT_THAT(Measure("decode 8 100 1").status().message(), HasSubstr("--num-kv-blocks"));
  EXPECT_TRUE(Measure("decode 1 254 2").ok());
}

TEST(StepSpecTest, SaysWhatItRead) {
  EXPECT_EQ(ParseStepSpec("verify 5 128 16").value().Name(), "verify 5 128 16");
  for (const char* bad : {"", "decode", "decode 8 128", "decode 8 128 32 1", "encode 1 1 1",
                          "decode 0 1 1", "decode 1 -1 1", "prefill 1 1 x"}) {
    EXPECT_FALSE(ParseStepSpec(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace runahead
