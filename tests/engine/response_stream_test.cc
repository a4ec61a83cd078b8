#include "engine/response_stream.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/token_queue.h"

namespace runahead {
namespace {

TokenEvent Token(int choice, int32_t id, FinishReason finish = FinishReason::kNone) {
  TokenEvent event;
  event.choice = choice;
  event.token = id;
  event.finish = finish;
  return event;
}

class ResponseStreamTest : public testing::Test {
 protected:
  void Open(int num_choices) {
    stream_ = std::make_unique<ResponseStream>(
        queue_, num_choices,
        ResponseStream::Control{
            .cancel = [this] { ++num_cancels_; },
            .finish = [this](int choice,
                             int num_tokens) { finishes_.emplace_back(choice, num_tokens); },
            .settle = [this] { ++num_settles_; }});
  }
  void Push(std::vector<TokenEvent> events) { queue_->Push(events); }

  std::shared_ptr<TokenQueue> queue_ = std::make_shared<TokenQueue>();
  std::unique_ptr<ResponseStream> stream_;
  int num_cancels_ = 0;
  int num_settles_ = 0;
  std::vector<std::pair<int, int>> finishes_;
};

TEST_F(ResponseStreamTest, DestroyingAnOpenStreamCancels) {
  Open(1);
  Push({Token(0, 5)});
  stream_->Take();
  stream_.reset();
  EXPECT_EQ(num_cancels_, 1);
}

TEST_F(ResponseStreamTest, AFinishNobodyReadIsStillACancel) {
  Open(1);
  Push({Token(0, 5, FinishReason::kLength)});
  stream_.reset();
  EXPECT_EQ(num_cancels_, 1);  // the engine has dropped the request by then and ignores it
}

TEST_F(ResponseStreamTest, AFinishedStreamCancelsNothing) {
  Open(2);
  Push({Token(0, 5), Token(1, 6, FinishReason::kStop)});
  EXPECT_EQ(stream_->Take().size(), 2u);
  EXPECT_FALSE(stream_->finished());
  Push({Token(0, 7, FinishReason::kLength)});
  EXPECT_EQ(stream_->Take().size(), 1u);
  EXPECT_TRUE(stream_->finished());
  EXPECT_EQ(num_settles_, 0);
  stream_.reset();
  EXPECT_EQ(num_cancels_, 0);
  EXPECT_EQ(num_settles_, 1);
}

TEST_F(ResponseStreamTest, FinishEndsTheChoiceAndHidesWhatFollows) {
  Open(2);
  Push({Token(0, 1), Token(0, 2), Token(0, 3)});
  EXPECT_EQ(stream_->Take().size(), 3u);
  stream_->Finish(0, 2);
  EXPECT_EQ(finishes_, (std::vector<std::pair<int, int>>{{0, 2}}));
  Push({Token(0, 4), Token(1, 9), Token(0, 5, FinishReason::kLength)});
  const std::vector<TokenEvent> rest = stream_->Take();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].token, 9);
  stream_->Finish(1, 1);
  EXPECT_TRUE(stream_->finished());
  stream_.reset();
  EXPECT_EQ(num_cancels_, 0);
}

TEST_F(ResponseStreamTest, WaitBlocksUntilEventsAndEndsWithTheStream) {
  Open(1);
  std::thread producer([this] { Push({Token(0, 3)}); });
  const std::vector<TokenEvent> first = stream_->Wait();
  producer.join();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].token, 3);
  stream_->Finish(0, 1);
  EXPECT_TRUE(stream_->Wait().empty());
}

TEST_F(ResponseStreamTest, ArmIsTheQueuesWaker) {
  Open(1);
  int calls = 0;
  stream_->Arm([&calls] { ++calls; });
  Push({Token(0, 3)});
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace runahead
