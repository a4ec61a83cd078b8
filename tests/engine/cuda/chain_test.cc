// Chains of a draft's passes on the CUDA backend: the bits of the passes one by one, graphs, and
// one wait for all.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/speculation.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/engine/cuda/cuda_devices.h"
#include "tests/model/chain_check.h"
#include "tests/model/forwarding_backend.h"

namespace runahead {
namespace {

class WaitCounter final : public ForwardingBackend {
 public:
  WaitCounter(std::unique_ptr<Backend> inner, int& num_waits)
      : ForwardingBackend(std::move(inner)), num_waits_(num_waits) {}
  void Wait(Ticket ticket) override {
    ++num_waits_;
    ForwardingBackend::Wait(ticket);
  }

 private:
  int& num_waits_;
};

class CudaChainTest : public testing::TestWithParam<std::string> {
 protected:
  // What kernels access is checked where they are tested one by one; here it would take minutes.
  CudaChainTest() { emulator::SetAccessChecks(false); }
  ~CudaChainTest() override { emulator::SetAccessChecks(true); }

  std::unique_ptr<TestModel> Make(bool has_graphs, int max_joined_passes = 0) {
    RunnerLimits limits = TestModelOptions().limits;
    limits.max_joined_passes = max_joined_passes;
    return std::make_unique<TestModel>(GoldenModel("llama_gqa"),
                                       TestModelOptions{.make_backend =
                                                            [=, this] {
                                                              return std::make_unique<WaitCounter>(
                                                                  MakerOf(GetParam(), has_graphs)(),
                                                                  num_waits_);
                                                            },
                                                        .weights = WeightFormat::kBF16,
                                                        .kv = DType::kBF16,
                                                        .num_blocks = 96,
                                                        .limits = limits});
  }

  int num_waits_ = 0;
};

TEST_P(CudaChainTest, AChainIsItsPasses) {
  const auto chained = Make(true);
  const auto one_by_one = Make(false);
  EXPECT_EQ(chained->runner().chains(), &chained->runner());
  EXPECT_EQ(one_by_one->runner().chains(), nullptr);
  ExpectChainsEqualTheirPasses(*chained, *one_by_one, true, 3);
  EXPECT_GE(chained->runner().num_graph_launches(), 5);
}

TEST_P(CudaChainTest, WithoutGraphsItIsTheSame) {
  const auto chained = Make(false);
  const auto one_by_one = Make(false);
  ExpectChainsEqualTheirPasses(*chained, *one_by_one, false, 1);
}

TEST_P(CudaChainTest, WaitsOnce) {
  const auto model = Make(true);
  DraftingSequences sequences(*model);
  sequences.Prefill(model->runner());
  for (int chain = 0; chain < 3; ++chain) {
    num_waits_ = 0;
    sequences.Append(RunChained(model->runner(), sequences.Chain(-1)));
    EXPECT_EQ(num_waits_, 1) << "met, captured or replayed";
  }
}

// Of the chain's sequences one alone: its first pass has two rows or one, filters, lists or none,
// and confidences where it is asked.
Passes PassesOf(const Passes& passes, size_t s) {
  Passes alone;
  for (const auto& runs : passes) {
    if (s < runs.size()) alone.push_back({runs[s]});
  }
  return alone;
}

TEST_P(CudaChainTest, AChainOfOneSequenceIsOneGraph) {
  const auto joined = Make(true, 5);
  const auto one_by_one = Make(false);
  DraftingSequences sequences(*joined);
  sequences.Prefill(joined->runner());
  sequences.Prefill(one_by_one->runner());
  for (int chain = 0; chain < 3; ++chain) {
    const int64_t num_launches = joined->runner().num_graph_launches();
    ChainAnswer all = {{{}, {}}, {}};
    for (size_t s = 0; s < 4; ++s) {
      const Passes passes = PassesOf(sequences.Chain(-1), s);
      const ChainAnswer expected = RunOneByOne(one_by_one->runner(), passes);
      num_waits_ = 0;
      const ChainAnswer actual = RunChained(joined->runner(), passes);
      EXPECT_EQ(num_waits_, 1);
      ASSERT_EQ(actual.tokens, expected.tokens) << "chain " << chain << " of " << s;
      EXPECT_EQ(actual.confidences, expected.confidences) << "chain " << chain << " of " << s;
      for (size_t p = 0; p < 2; ++p) all.tokens[p].push_back(expected.tokens[p][0]);
    }
    EXPECT_EQ(joined->runner().num_graph_launches(), num_launches + (chain > 0 ? 4 : 0));
    sequences.Append(all);
  }
}

// As many passes as there may be, each with the longest lists that are joined and a confidence:
// the graph's memory has places for all.
TEST_P(CudaChainTest, TheLongestJoinedChainHasItsPlaces) {
  const auto joined = Make(true, kMaxDrafts);
  const auto one_by_one = Make(false);
  SamplingParams sampling = {.temperature = 0.9f, .seed = 5};
  std::vector<int32_t> suppressed;
  for (int32_t id = 0; id < 60; ++id) {
    sampling.allowed_token_ids.push_back(id + 30);
    suppressed.push_back(id);
  }
  const std::vector<int32_t> ids = {5, 9, 17, 33};
  const std::vector<int32_t> table = joined->NewTable(64);
  const int32_t unknown = 0;
  Passes passes;
  for (int p = 0; p < kMaxDrafts; ++p) {
    SequenceRun run = {.tokens = p == 0 ? std::span(ids).last(3) : std::span(&unknown, 1),
                       .num_computed = p == 0 ? 1 : static_cast<int>(ids.size()) + p - 1,
                       .block_table = table,
                       .wants_token = true,
                       .sampling = &sampling,
                       .suppressed = suppressed,
                       .num_suppressed_rows = 1};
    run.proposal = Proposal{.wants_confidence = true};
    passes.push_back({run});
  }
  for (TestModel* model : {joined.get(), one_by_one.get()}) {
    const SequenceRun first = {.tokens = std::span(ids).first(1), .block_table = table};
    model->runner().Run({&first, 1});
  }
  const ChainAnswer expected = RunOneByOne(one_by_one->runner(), passes);
  for (int meeting = 0; meeting < 2; ++meeting) {  // op by op, then as a graph
    const int64_t num_launches = joined->runner().num_graph_launches();
    const ChainAnswer actual = RunChained(joined->runner(), passes);
    EXPECT_EQ(actual.tokens, expected.tokens);
    EXPECT_EQ(actual.confidences, expected.confidences);
    EXPECT_EQ(joined->runner().num_graph_launches(), num_launches + meeting);
  }
}

// Too many passes, or a row to keep: pass by pass, one behind the other, as ever.
TEST_P(CudaChainTest, OtherChainsAreNotJoined) {
  const auto chained = Make(true, 3);
  const auto one_by_one = Make(false);
  ExpectChainsEqualTheirPasses(*chained, *one_by_one, true, 2);
  DraftingSequences sequences(*chained);
  sequences.Prefill(chained->runner());
  sequences.Prefill(one_by_one->runner());
  const Passes passes = PassesOf(sequences.Chain(-1), 0);
  const ChainAnswer expected = RunOneByOne(one_by_one->runner(), passes);
  EXPECT_EQ(RunChained(chained->runner(), passes).tokens, expected.tokens);
}

// Between a step's last op and its first wait, whatever the step is.
TEST_P(CudaChainTest, HostWorkIsDoneBeforeTheWait) {
  const auto model = Make(true);
  std::vector<int> waits_before;
  ASSERT_TRUE(model->runner().DoMeanwhile([&] { waits_before.push_back(num_waits_); }));
  DraftingSequences sequences(*model);
  num_waits_ = 0;
  sequences.Prefill(model->runner());  // samples nothing, and is waited for
  EXPECT_EQ(waits_before, std::vector<int>{0});
  EXPECT_EQ(num_waits_, 1);
  sequences.Append(RunChained(model->runner(), sequences.Chain(-1)));
  EXPECT_EQ(waits_before, (std::vector<int>{0, 1}));
}

INSTANTIATE_TEST_SUITE_P(On, CudaChainTest, testing::ValuesIn(CudaDevices()),
                         [](const auto& device) { return device.param; });

}  // namespace
}  // namespace runahead
