// Chains of passes on the backends that gain nothing by them: a chain is its passes.
#include "gtest/gtest.h"

#include "tests/model/chain_check.h"

namespace runahead {
namespace {

class RunnerChainTest : public testing::TestWithParam<const char*> {
 protected:
  TestModel chained_{GoldenModel("llama_gqa"), {.backend = GetParam()}};
  TestModel one_by_one_{GoldenModel("llama_gqa"), {.backend = GetParam()}};
};

TEST_P(RunnerChainTest, AChainIsItsPasses) {
  ExpectChainsEqualTheirPasses(chained_, one_by_one_, false, 3);
}

TEST_P(RunnerChainTest, ProposalsAreKept) {
  ExpectChainsEqualTheirPasses(chained_, one_by_one_, true, 2);
}

TEST_P(RunnerChainTest, IsNotAskedForWithoutGraphs) {
  EXPECT_EQ(chained_.runner().chains(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(On, RunnerChainTest, testing::Values("ref", "cpu"));

}  // namespace
}  // namespace runahead
