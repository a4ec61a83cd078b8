#include "engine/engine_door.h"

#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "loop_fixture.h"

namespace runahead {
namespace {

class EngineDoorTest : public testing::Test {
 protected:
  static EngineConfig Config() {
    EngineConfig config = SmallEngineConfig();
    config.max_queue = 2;
    return config;
  }
  Result<std::unique_ptr<ResponseStream>> Submit(Request request) {
    return door_.Submit(std::make_unique<Request>(std::move(request)));
  }
  uint64_t Rejected(RejectReason reason) {
    return metrics_.Snapshot().rejected[static_cast<size_t>(reason)];
  }

  ManualClock clock_;
  Metrics metrics_;
  EngineDoor door_{Config(), clock_, metrics_};
};

TEST_F(EngineDoorTest, AnAcceptedRequestGoesIntoTheMailboxAndWaits) {
  const auto stream = Submit(MakeRequest({1}, 2));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(metrics_.Snapshot().waiting, 1u);
  std::vector<Message> mail = door_.mailbox().Take();
  ASSERT_EQ(mail.size(), 1u);
  const auto& message = std::get<SubmitMessage>(mail[0]);
  EXPECT_EQ(message.request->prompt, (std::vector<int32_t>{1}));
  EXPECT_EQ(message.submitted, clock_.Now());
}

TEST_F(EngineDoorTest, AFullQueueRefusesWithoutTheEngine) {
  const auto first = Submit(MakeRequest({1}, 2));
  const auto second = Submit(MakeRequest({1}, 2));
  const auto third = Submit(MakeRequest({1}, 2));
  EXPECT_TRUE(second.ok());
  EXPECT_EQ(third.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Rejected(RejectReason::kQueueFull), 1u);
  EXPECT_TRUE(metrics_.Snapshot().Reconciles());
  door_.gate().Publish(2, 0);
  EXPECT_TRUE(Submit(MakeRequest({1}, 2)).ok());
}

TEST_F(EngineDoorTest, AWrongRequestTakesNoPlaceInTheQueue) {
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(Submit(MakeRequest({}, 2)).ok());
  EXPECT_FALSE(Submit(MakeRequest(Counting(0, 300), 2)).ok());
  EXPECT_EQ(Rejected(RejectReason::kInvalid), 5u);
  EXPECT_EQ(Rejected(RejectReason::kTooLong), 1u);
  EXPECT_TRUE(Submit(MakeRequest({1}, 2)).ok());
}

TEST_F(EngineDoorTest, DrainingAndFailedEnginesAreUnavailable) {
  door_.Drain(kNoDeadline);
  EXPECT_EQ(Submit(MakeRequest({1}, 2)).status().code(), StatusCode::kUnavailable);
  door_.status().Fail();
  EXPECT_EQ(Submit(MakeRequest({1}, 2)).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Rejected(RejectReason::kUnavailable), 2u);
  EXPECT_EQ(door_.health(), EngineHealth::kFailed);
}

TEST_F(EngineDoorTest, StreamsReportBackThroughTheMailbox) {
  Request request = MakeRequest({1}, 2);
  request.may_finish_early = true;
  auto finished = Submit(request);
  auto cancelled = Submit(request);
  door_.mailbox().Take();
  finished.value()->Finish(0, 1);
  finished.value().reset();
  cancelled.value().reset();
  const std::vector<Message> mail = door_.mailbox().Take();
  ASSERT_EQ(mail.size(), 3u);
  EXPECT_EQ(std::get<FinishMessage>(mail[0]).num_tokens, 1);
  EXPECT_TRUE(std::holds_alternative<SettleMessage>(mail[1]));
  EXPECT_TRUE(std::holds_alternative<CancelMessage>(mail[2]));
}

TEST(EngineDoor, AStreamMayOutliveIt) {
  ManualClock clock;
  Metrics metrics;
  std::unique_ptr<ResponseStream> stream;
  {
    EngineDoor door(SmallEngineConfig(), clock, metrics);
    stream = std::move(door.Submit(std::make_unique<Request>(MakeRequest({1}, 2)))).value();
  }
  stream.reset();  // its cancel goes into a mailbox that nobody empties
}

}  // namespace
}  // namespace runahead
