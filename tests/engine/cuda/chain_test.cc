// Chains of a draft's passes on the CUDA backend: the bits of the passes one by one, graphs, and
// one wait for all.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

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
