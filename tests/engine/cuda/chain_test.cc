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

  std::unique_ptr<TestModel> Make(bool has_graphs) {
    return std::make_unique<TestModel>(GoldenModel("llama_gqa"),
                                       TestModelOptions{.make_backend =
                                                            [=, this] {
                                                              return std::make_unique<WaitCounter>(
                                                                  MakerOf(GetParam(), has_graphs)(),
                                                                  num_waits_);
                                                            },
                                                        .weights = WeightFormat::kBF16,
                                                        .kv = DType::kBF16,
                                                        .num_blocks = 96});
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
