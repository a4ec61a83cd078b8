// How requests end before their time: cancel, Finish, deadlines, drain.
#include <chrono>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;

constexpr auto kQueuedPhase = static_cast<size_t>(RequestPhase::kQueued);
constexpr auto kRunningPhase = static_cast<size_t>(RequestPhase::kRunning);

// Counts the rows a step runs for the prompts that begin with `first_token`.
struct RowCounter {
  explicit RowCounter(TestLoop& test, int32_t first_token) {
    test.runner.before_run = [this, first_token](std::span<const SequenceRun> runs) {
      num_rows = 0;
      for (const SequenceRun& run : runs) {
        if (run.prompt[0] == first_token) num_rows += static_cast<int>(run.tokens.size());
      }
    };
  }
  int num_rows = 0;  // of the last step
};

TEST(EngineLoopCancel, ADecodeStopsAtTheNextStep) {
  TestLoop test;
  RowCounter rows(test, 1);
  Client gone = test.Submit(MakeRequest({1}, 50));
  Client stays = test.Submit(MakeRequest({2}, 50));
  test.Turns(3);
  EXPECT_EQ(rows.num_rows, 1);
  gone.stream.reset();
  test.Turn();
  EXPECT_EQ(rows.num_rows, 0);
  EXPECT_EQ(test.metrics.Snapshot().cancelled[kRunningPhase], 1u);
  test.RunUntilIdle();
  stays.Take();
  EXPECT_EQ(stays[0].tokens.size(), 50u);
  EXPECT_EQ(test.metrics.Snapshot().used_blocks, 0);
}

// What was drawn for a client that had gone by then is counted, pushed in vain or not pushed yet.
TEST(EngineLoopCancel, EventsThatWaitForTheDeviceAreDiscarded) {
  TestLoop test(SmallEngineConfig(), 1, {}, true);
  Client gone = test.Submit(MakeRequest({1}, 50));
  test.Turns(2);
  test.runner.before_run = [&](auto) { gone.stream.reset(); };
  test.Turns(2);  // the second token goes nowhere, and the third one would
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.generated_tokens, 3u);
  EXPECT_EQ(counts.discarded_tokens, 2u);
}

TEST(EngineLoopCancel, APrefillStopsAtTheNextStep) {
  TestLoop test;
  RowCounter rows(test, 1);
  Client gone = test.Submit(MakeRequest(Counting(1, 200), 50));
  Client stays = test.Submit(MakeRequest({2}, 50));
  test.Turn();
  EXPECT_GT(rows.num_rows, 1);
  gone.stream.reset();
  test.Turn();
  EXPECT_EQ(rows.num_rows, 0);
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.cancelled[kRunningPhase], 1u);
  EXPECT_EQ(counts.running, 1u);
}

TEST(EngineLoopCancel, AQueuedRequestNeverRuns) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  TestLoop test(config);
  RowCounter rows(test, 9);
  Client runs = test.Submit(MakeRequest({1}, 5));
  Client queued = test.Submit(MakeRequest({9}, 5));
  test.Turn();
  EXPECT_EQ(test.metrics.Snapshot().waiting, 1u);
  queued.stream.reset();
  test.Turn();
  EXPECT_EQ(test.metrics.Snapshot().cancelled[kQueuedPhase], 1u);
  while (test.Turn()) EXPECT_EQ(rows.num_rows, 0);
}

TEST(EngineLoopCancel, BeforeTheEngineSawTheRequest) {
  TestLoop test;
  test.Submit(MakeRequest({1}, 5)).stream.reset();
  EXPECT_EQ(test.metrics.Snapshot().waiting, 1u);
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.runner.num_steps(), 0);
  EXPECT_EQ(test.metrics.Snapshot().cancelled[kQueuedPhase], 1u);
}

TEST(EngineLoopCancel, WhatTheStepInFlightMadeIsDiscarded) {
  TestLoop test;
  Client client = test.Submit(MakeRequest({1}, 50));
  test.Turns(3);
  test.runner.before_run = [&](auto) { client.stream.reset(); };
  test.Turn();
  test.Turn();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.cancelled[kRunningPhase], 1u);
  EXPECT_EQ(counts.generated_tokens, 4u);
  EXPECT_EQ(counts.discarded_tokens, 1u);
}

TEST(EngineLoopCancel, AllChoicesOfTheRequest) {
  TestLoop test;
  RowCounter rows(test, 1);
  Request request = MakeRequest(Counting(1, 9), 50);
  request.num_choices = 3;
  request.sampling.temperature = 1;
  Client client = test.Submit(request);
  test.Turns(4);
  EXPECT_EQ(rows.num_rows, 3);
  client.stream.reset();
  EXPECT_FALSE(test.Turn());
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.cancelled[kRunningPhase], 1u);
  EXPECT_EQ(counts.used_blocks, 0);
}

TEST(EngineLoopCancel, AfterTheEndChangesNothing) {
  TestLoop test;
  Client client = test.Submit(MakeRequest({1}, 3));
  test.RunUntilIdle();
  client.stream.reset();  // without having read the finish
  EXPECT_FALSE(test.Turn());
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.finished_length, 1u);
  EXPECT_EQ(counts.cancelled[kRunningPhase] + counts.cancelled[kQueuedPhase], 0u);
}

TEST(EngineLoopFinish, EndsAtTheMatchAndDiscardsTheRest) {
  TestLoop test;
  Request request = MakeRequest({1}, 50);
  request.may_finish_early = true;
  Client client = test.Submit(request);
  test.Turns(6);
  client.stream->Finish(0, 4);  // two tokens too many have come by then
  EXPECT_TRUE(client.stream->finished());
  EXPECT_FALSE(test.Turn());
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.finished_stop, 1u);
  EXPECT_EQ(counts.generated_tokens, 6u);
  EXPECT_EQ(counts.discarded_tokens, 2u);
  EXPECT_DOUBLE_EQ(counts.request_generated_tokens.sum, 4.0);
  EXPECT_EQ(counts.used_blocks, 0);
  client.stream.reset();
  EXPECT_FALSE(test.Turn());
}

TEST(EngineLoopFinish, OneChoiceEndsTheOthersGoOn) {
  TestLoop test;
  Request request = MakeRequest({1}, 20);
  request.may_finish_early = true;
  request.num_choices = 2;
  request.sampling.temperature = 1;
  Client client = test.Submit(request);
  test.Turns(5);
  client.Take();
  client.stream->Finish(0, 1);
  test.RunUntilIdle();
  client.Take();
  EXPECT_EQ(client[1].tokens.size(), 20u);
  EXPECT_EQ(client[1].finish, FinishReason::kLength);
  client.stream.reset();
  test.Turn();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.finished_length, 1u);  // the worse of the two choices
  EXPECT_DOUBLE_EQ(counts.request_generated_tokens.sum, 21.0);
  EXPECT_EQ(counts.generated_tokens - counts.discarded_tokens, 21u);
}

// The engine runs ahead of the front end: all max_tokens tokens were made before the match was
// seen.
TEST(EngineLoopFinish, AfterTheEngineWasDoneStillDecidesTheOutcome) {
  TestLoop test;
  Request request = MakeRequest({1}, 10);
  request.may_finish_early = true;
  Client client = test.Submit(request);
  test.RunUntilIdle();
  EXPECT_EQ(test.metrics.Snapshot().running, 1u);  // its outcome is open
  client.stream->Finish(0, 7);
  test.Turn();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.finished_stop, 1u);
  EXPECT_EQ(counts.finished_length, 0u);
  EXPECT_EQ(counts.discarded_tokens, 3u);
  EXPECT_EQ(counts.running, 0u);
}

TEST(EngineLoopFinish, WithoutAMatchTheOutcomeSettlesWhenTheStreamGoes) {
  TestLoop test;
  Request request = MakeRequest({1}, 10);
  request.may_finish_early = true;
  Client read_to_the_end = test.Submit(request);
  Client not_read = test.Submit(request);
  test.RunUntilIdle();
  read_to_the_end.Take();
  read_to_the_end.stream.reset();
  not_read.stream.reset();
  test.Turn();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.finished_length, 2u);
  EXPECT_EQ(counts.running, 0u);
}

TEST(EngineLoopDeadline, QueuedRequestsExpireUnserved) {
  EngineConfig config = SmallEngineConfig();
  config.max_num_seqs = 1;
  TestLoop test(config);
  RowCounter rows(test, 9);
  Client runs = test.Submit(MakeRequest({1}, 5));
  Request late = MakeRequest({9}, 5);
  late.deadline = test.clock.Now() + milliseconds(10);
  Client queued = test.Submit(late);
  test.Turn();
  test.clock.Advance(milliseconds(10));
  test.Turn();
  queued.Take();
  EXPECT_EQ(queued[0].finish, FinishReason::kExpired);
  EXPECT_EQ(queued[0].error.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(test.metrics.Snapshot().expired[kQueuedPhase], 1u);
  while (test.Turn()) EXPECT_EQ(rows.num_rows, 0);
}

TEST(EngineLoopDeadline, RunningRequestsStopAtTheNextStepAndKeepTheirTokens) {
  TestLoop test;
  Request request = MakeRequest({1}, 50);
  request.deadline = test.clock.Now() + milliseconds(10);
  Client client = test.Submit(request);
  test.Turns(3);
  test.clock.Advance(milliseconds(10));
  test.Turn();
  EXPECT_EQ(test.runner.num_steps(), 3);
  client.Take();
  EXPECT_EQ(client[0].tokens.size(), 3u);
  EXPECT_EQ(client[0].finish, FinishReason::kExpired);
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.expired[kRunningPhase], 1u);
  EXPECT_EQ(counts.used_blocks, 0);
}

TEST(EngineLoopDeadline, EveryChoiceHearsOfIt) {
  TestLoop test;
  Request request = MakeRequest({1}, 50);
  request.num_choices = 3;
  request.deadline = test.clock.Now() + milliseconds(10);
  Client client = test.Submit(request);
  test.Turns(2);
  test.clock.Advance(milliseconds(10));
  test.RunUntilIdle();
  client.Take();
  for (int choice = 0; choice < 3; ++choice) {
    EXPECT_EQ(client[choice].finish, FinishReason::kExpired) << choice;
  }
  EXPECT_EQ(test.metrics.Snapshot().expired[kRunningPhase], 1u);
}

TEST(EngineLoopProgress, WhatCannotRunEvenAloneFailsAndTheNextOneRuns) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 4;  // 16 tokens, in a context of 256
  TestLoop test(config);
  Client too_long = test.Submit(MakeRequest(Counting(0, 8), 100));
  Client fits = test.Submit(MakeRequest(Counting(50, 8), 4));
  test.RunUntilIdle();
  too_long.Take();
  fits.Take();
  EXPECT_EQ(too_long[0].finish, FinishReason::kFailed);
  EXPECT_EQ(too_long[0].error.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(too_long[0].error.message().find("4 blocks"), std::string::npos);
  EXPECT_EQ(fits[0].tokens.size(), 4u);
  EXPECT_EQ(test.metrics.Snapshot().failed, 1u);
}

TEST(EngineLoopDrain, RefusesNewFinishesOldThenStops) {
  TestLoop test;
  Client client = test.Submit(MakeRequest({1}, 5));
  test.Turn();
  test.door.Drain(kNoDeadline);
  EXPECT_EQ(test.door.health(), EngineHealth::kDraining);
  const Status refused = test.door.Submit(std::make_unique<Request>(MakeRequest({1}, 1))).status();
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  test.RunUntilIdle();
  client.Take();
  EXPECT_EQ(client[0].finish, FinishReason::kLength);
  EXPECT_EQ(test.door.health(), EngineHealth::kStopped);
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.rejected[static_cast<size_t>(RejectReason::kUnavailable)], 1u);
}

TEST(EngineLoopDrain, WhatWasAcceptedBeforeIsServed) {
  TestLoop test;
  Client client = test.Submit(MakeRequest({1}, 5));
  test.door.Drain(kNoDeadline);
  test.RunUntilIdle();
  client.Take();
  EXPECT_EQ(client[0].finish, FinishReason::kLength);
}

TEST(EngineLoopDrain, TheDeadlineEndsWhatIsLeft) {
  TestLoop test;
  Client client = test.Submit(MakeRequest({1}, 100));
  test.door.Drain(test.clock.Now() + milliseconds(10));
  test.Turns(3);
  test.clock.Advance(milliseconds(10));
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.runner.num_steps(), 3);
  client.Take();
  EXPECT_EQ(client[0].tokens.size(), 3u);
  EXPECT_EQ(client[0].finish, FinishReason::kFailed);
  EXPECT_EQ(client[0].error.code(), StatusCode::kUnavailable);
  EXPECT_EQ(test.door.health(), EngineHealth::kStopped);
}

TEST(EngineLoopDrain, AnIdleEngineStopsAtOnce) {
  TestLoop test;
  test.door.Drain(kNoDeadline);
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.door.health(), EngineHealth::kStopped);
}

TEST(EngineLoopShutdown, EndsEveryStream) {
  TestLoop test;
  Client running = test.Submit(MakeRequest({1}, 100));
  test.Turn();
  Client unseen = test.Submit(MakeRequest({1}, 100));
  test.loop.Shutdown();
  for (Client* client : {&running, &unseen}) {
    client->Take();
    EXPECT_EQ((*client)[0].finish, FinishReason::kFailed);
    EXPECT_EQ((*client)[0].error.code(), StatusCode::kUnavailable);
  }
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_TRUE(counts.Reconciles());
  EXPECT_EQ(counts.failed, 2u);
}

}  // namespace
}  // namespace runahead
