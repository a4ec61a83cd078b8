#include "server/request_record.h"

#include <thread>

#include "gtest/gtest.h"

#include "record_fixture.h"

namespace runahead {
namespace {

class RequestRecordTest : public RecordFixture {};

TEST_F(RequestRecordTest, TheLogHearsOfTheEndOnce) {
  const auto record = Begin();
  Arrive(*record);
  record->OnEnd(true);
  record->OnEnd(false);
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_TRUE(ended_[0].was_delivered);
  EXPECT_EQ(ended_[0].response_id, "chatcmpl-r1");
}

TEST_F(RequestRecordTest, WhatComesAfterTheEndChangesNothing) {
  const auto record = Begin();
  Arrive(*record);
  const auto slot = Submit(*record);
  record->OnEnd(false);
  FinishText(*record);
  record->OnRendered(0);
  EXPECT_EQ(record->OnSubmit(0, 99), nullptr);
  const RequestFacts facts = record->Read();
  EXPECT_EQ(facts.completion_tokens, 0);
  EXPECT_EQ(facts.prompt_tokens, 7);
  EXPECT_EQ(StatusOf(facts), RequestStatus::kCancelled);
}

TEST_F(RequestRecordTest, AClientCannotMakeARecordLarge) {
  const auto record = Begin(std::string(1 << 20, 'x'));
  record->OnGeneration(std::string(1 << 20, 'y'), std::string(1 << 20, 'z'),
                       std::string(1 << 20, 'm'));
  const RequestFacts facts = record->Read();
  EXPECT_LE(facts.origin.id.size(), 160u);
  EXPECT_LE(facts.response_id.size(), 160u);
  EXPECT_LE(facts.model.size(), 160u);
}

TEST_F(RequestRecordTest, TokensAreCountedAsTheyCome) {
  const auto record = Begin();
  Arrive(*record);
  Submit(*record);
  for (int tokens = 1; tokens <= 3; ++tokens) {
    record->OnPumped(0, {.taken = clock_.Now(), .cached_tokens = 4, .completion_tokens = tokens});
  }
  EXPECT_EQ(record->Read().completion_tokens, 3);
  EXPECT_EQ(record->Read().cached_tokens, 4);
}

TEST_F(RequestRecordTest, TheWallClocksBeginningIsTheFirstBytes) {
  const auto record = Begin();
  const auto began = record->Read().began;
  EXPECT_LT(std::chrono::system_clock::now() - began, std::chrono::seconds(60));
}

// For the sanitizers: the engine, the pump, the door and somebody who asks, all at once.
TEST_F(RequestRecordTest, FourThreadsMeetInOneRecord) {
  const auto record = Begin();
  Arrive(*record);
  const auto slot = Submit(*record);
  constexpr int kRounds = 300;
  std::thread engine([&] {
    for (int i = 0; i < kRounds; ++i) slot->Leave(TimelineOf(5 * i));
  });
  std::thread pump([&] {
    for (int i = 0; i < kRounds; ++i) {
      record->OnPumped(0, {.taken = clock_.Now(), .completion_tokens = i});
    }
  });
  std::thread door([&] {
    for (int i = 0; i < kRounds; ++i) {
      record->OnStalled();
      record->OnFlowing();
    }
  });
  for (int i = 0; i < kRounds; ++i) (void)Segments(*record);
  for (std::thread* thread : {&engine, &pump, &door}) thread->join();
  EXPECT_EQ(record->Read().prompts[0].timeline->num_decode_steps, kRounds - 1);
}

}  // namespace
}  // namespace runahead
