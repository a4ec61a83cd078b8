// A device that is lost while it serves: the engine fails for good, and nothing aborts.
#include <gtest/gtest.h>

#include "tests/cuda_emulator/emulated_runtime.h"
#include "tests/engine/loop_fixture.h"
#include "tests/engine/pair_under_test.h"

namespace runahead {
namespace {

TEST(LostDeviceTest, FailsTheEngineForGood) {
  bool is_lost = false;
  ModelPair pair("llama_gqa", "", VerifyMode::kCoupled, DType::kBF16, WeightFormat::kBF16,
                 [&] { return MakeEmulatedCudaBackend({.is_lost = &is_lost}); });
  LoopUnderTest loop(pair.target(), pair.Config());
  Client running = loop.Submit(MakeRequest(Counting(3, 9), 40));
  loop.Turns(4);
  running.Take();
  EXPECT_FALSE(running[0].tokens.empty());
  EXPECT_EQ(running[0].finish, FinishReason::kNone);
  is_lost = true;
  EXPECT_FALSE(loop.loop.RunOnce());
  running.Take();
  EXPECT_EQ(running[0].finish, FinishReason::kFailed);
  EXPECT_EQ(running[0].error.code(), StatusCode::kUnavailable);
  EXPECT_NE(running[0].error.message().find("the emulated device is lost"), std::string::npos);
  EXPECT_EQ(loop.door.health(), EngineHealth::kFailed);
  is_lost = false;  // it stays failed
  auto refused = loop.door.Submit(std::make_unique<Request>(MakeRequest(Counting(3, 9), 4)));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace runahead
