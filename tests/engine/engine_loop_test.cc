#include "engine/engine_loop.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<int32_t> Expected(const Request& request, int choice = 0) {
  return FakeTokens(request.prompt, request.max_tokens, request.sampling, kFakeVocab,
                    static_cast<uint32_t>(choice));
}

TEST(EngineLoop, StreamsOneTokenAStepAndFinishesByLength) {
  TestLoop test;
  const Request request = MakeRequest({1, 2, 3}, 3);
  Client client = test.Submit(request);
  for (size_t step = 1; step <= 3; ++step) {
    EXPECT_TRUE(test.Turn());
    client.Take();
    EXPECT_EQ(client[0].tokens.size(), step);
  }
  EXPECT_EQ(client[0].tokens, Expected(request));
  EXPECT_EQ(client[0].finish, FinishReason::kLength);
  EXPECT_TRUE(client.stream->finished());
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.loop.wait_until(), kNoDeadline);
  EXPECT_EQ(test.metrics.Snapshot().finished_length, 1u);
}

TEST(EngineLoop, AnyBatchGivesTheTokensOfTheRequestAlone) {
  TestLoop test;
  std::vector<Request> requests;
  std::vector<Client> clients;
  for (int i = 0; i < 12; ++i) {  // more than may run at once, and prompts that need chunks
    requests.push_back(MakeRequest(Counting(i, 5 + 17 * i), 10 + i));
    requests.back().sampling.temperature = i % 2 == 0 ? 0.0f : 1.0f;
    requests.back().seed = requests.back().sampling.seed = static_cast<uint64_t>(100 + i);
    clients.push_back(test.Submit(requests.back()));
    if (i % 3 == 0) test.Turns(2);
  }
  test.RunUntilIdle();
  for (size_t i = 0; i < clients.size(); ++i) {
    clients[i].Take();
    EXPECT_EQ(clients[i][0].tokens, Expected(requests[i])) << i;
  }
}

TEST(EngineLoop, AStopIdEndsTheChoiceWithItsToken) {
  TestLoop test;
  Request request = MakeRequest({4, 5}, 20);
  const std::vector<int32_t> alone = Expected(request);
  request.stop_token_ids = {alone[4], 999};
  Client client = test.Submit(request);
  test.RunUntilIdle();
  client.Take();
  const auto first = std::find(alone.begin(), alone.end(), alone[4]);
  EXPECT_EQ(client[0].tokens, std::vector<int32_t>(alone.begin(), first + 1));
  EXPECT_EQ(client[0].finish, FinishReason::kStop);
  EXPECT_EQ(client[0].stop_token, alone[4]);
  EXPECT_EQ(test.metrics.Snapshot().finished_stop, 1u);
}

// A prompt whose greedy continuation holds eos among its first tokens.
Request RequestThatMeetsEos(int* eos_at) {
  for (int32_t first = 0;; ++first) {
    Request request = MakeRequest({first, first / 2}, 20);
    const std::vector<int32_t> tokens = Expected(request);
    const auto eos = std::find(tokens.begin(), tokens.end(), kFakeEos);
    *eos_at = static_cast<int>(eos - tokens.begin());
    if (eos != tokens.end() && *eos_at > 2) return request;
  }
}

TEST(EngineLoop, EosStopsUnlessIgnored) {
  int eos_at = 0;
  Request request = RequestThatMeetsEos(&eos_at);
  TestLoop test;
  Client ignoring = test.Submit(request);
  request.ignore_eos = false;
  Client stopping = test.Submit(request);
  test.RunUntilIdle();
  ignoring.Take();
  stopping.Take();
  EXPECT_EQ(ignoring[0].finish, FinishReason::kLength);
  EXPECT_EQ(stopping[0].finish, FinishReason::kStop);
  EXPECT_EQ(stopping[0].stop_token, kFakeEos);
  EXPECT_EQ(static_cast<int>(stopping[0].tokens.size()), eos_at + 1);
}

TEST(EngineLoop, StopIdsAreBannedBeforeMinTokens) {
  int eos_at = 0;
  Request request = RequestThatMeetsEos(&eos_at);
  request.ignore_eos = false;
  request.min_tokens = eos_at + 1;
  TestLoop test;
  Client client = test.Submit(request);
  test.RunUntilIdle();
  client.Take();
  const std::vector<int32_t> eos = {kFakeEos};
  EXPECT_EQ(client[0].tokens, FakeTokens(request.prompt, 20, request.sampling, kFakeVocab, 0, eos,
                                         request.min_tokens));
  EXPECT_GT(static_cast<int>(client[0].tokens.size()), eos_at + 1);
}

TEST(EngineLoop, MaxTokensIsClippedToTheContext) {
  TestLoop test;  // context 256
  Client client = test.Submit(MakeRequest(Counting(0, 250), 1000000));
  test.RunUntilIdle();
  client.Take();
  EXPECT_EQ(client[0].tokens.size(), 6u);
  EXPECT_EQ(client[0].finish, FinishReason::kLength);
}

TEST(EngineLoop, ChoicesDifferShareThePromptAndCountAsOneRequest) {
  TestLoop test;
  Request request = MakeRequest(Counting(3, 10), 8);  // two full blocks and a partial one
  request.num_choices = 3;
  request.sampling.temperature = 1;
  request.seed = request.sampling.seed = 42;
  Client client = test.Submit(request);
  test.Turns(3);
  EXPECT_EQ(test.metrics.Snapshot().running, 1u);
  test.RunUntilIdle();
  client.Take();
  for (int choice = 0; choice < 3; ++choice) {
    EXPECT_EQ(client[choice].tokens, Expected(request, choice)) << choice;
    EXPECT_EQ(client[choice].finish, FinishReason::kLength);
  }
  EXPECT_NE(client[0].tokens, client[1].tokens);
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.received, 1u);
  EXPECT_EQ(counts.finished_length, 1u);
  EXPECT_EQ(counts.prompt_tokens, 10u);  // computed and counted once
  EXPECT_EQ(counts.generated_tokens, 24u);
}

TEST(EngineLoop, PrefixHitsAndPreemptionChangeNoToken) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 20;  // 80 tokens for requests that want up to 50 each
  TestLoop test(config);
  std::vector<Request> requests;
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) {
    std::vector<int32_t> prompt = Counting(0, 12);
    prompt.push_back(i);
    requests.push_back(MakeRequest(prompt, 37));
    clients.push_back(test.Submit(requests.back()));
  }
  test.RunUntilIdle();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_GT(counts.preemptions, 0u);
  EXPECT_GT(counts.prefix_hit_tokens, 0u);
  EXPECT_EQ(counts.finished_length, 6u);
  EXPECT_EQ(counts.used_blocks, 0);
  for (size_t i = 0; i < clients.size(); ++i) {
    clients[i].Take();
    EXPECT_EQ(clients[i][0].tokens, Expected(requests[i])) << i;
  }
}

TEST(EngineLoop, SecondRequestReportsItsCachedTokens) {
  TestLoop test;
  Client first = test.Submit(MakeRequest(Counting(0, 21), 2));
  test.RunUntilIdle();
  Client second = test.Submit(MakeRequest(Counting(0, 21), 2));
  test.RunUntilIdle();
  first.Take();
  second.Take();
  EXPECT_EQ(first.num_cached_tokens, 0);
  EXPECT_EQ(second.num_cached_tokens, 20);  // five full blocks of four
  EXPECT_EQ(first[0].tokens, second[0].tokens);
  EXPECT_EQ(test.metrics.Snapshot().cached_prompt_tokens, 20u);
}

TEST(EngineLoop, LogprobsComeWhereAsked) {
  TestLoop test;
  Request request = MakeRequest({1, 2}, 4);
  Client plain = test.Submit(request);
  request.sampling.num_logprobs = 0;
  Client asking = test.Submit(request);
  test.RunUntilIdle();
  plain.Take();
  asking.Take();
  EXPECT_TRUE(plain[0].logprobs.empty());
  ASSERT_EQ(asking[0].logprobs.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(asking[0].logprobs[i].chosen.token, asking[0].tokens[i]);
  }
}

// Prompt logprobs gathered over chunks: entry i is that of prompt token i + 1 after tokens 0..i.
void ExpectPromptLogprobs(const std::vector<PositionLogprobs>& actual,
                          const std::vector<int32_t>& prompt) {
  ASSERT_EQ(actual.size(), prompt.size() - 1);
  uint64_t hash = 0;
  for (size_t i = 0; i + 1 < prompt.size(); ++i) {
    hash = FoldToken(hash, prompt[i]);
    EXPECT_EQ(actual[i].chosen.token, prompt[i + 1]) << i;
    EXPECT_EQ(actual[i].chosen.logprob, FakeLogprob(hash)) << i;
  }
}

TEST(EngineLoop, PromptLogprobsOfEveryChunkComeWithTheFirstEvent) {
  TestLoop test;
  Request request = MakeRequest(Counting(5, 150), 2);  // at 64 tokens a step: three chunks
  request.sampling.num_prompt_logprobs = 0;
  request.num_choices = 2;
  Client client = test.Submit(request);
  test.RunUntilIdle();
  client.Take();
  ExpectPromptLogprobs(client.prompt_logprobs, request.prompt);
  EXPECT_EQ(test.metrics.Snapshot().prefix_query_tokens, 0u);  // every token must be run
}

TEST(EngineLoop, ZeroMaxTokensComputesThePromptOnly) {
  TestLoop test;
  Request request = MakeRequest(Counting(5, 70), 0);
  request.sampling.num_prompt_logprobs = 0;
  Client client = test.Submit(request);
  test.RunUntilIdle();
  client.Take();
  EXPECT_TRUE(client[0].tokens.empty());
  EXPECT_EQ(client[0].finish, FinishReason::kLength);
  ExpectPromptLogprobs(client.prompt_logprobs, request.prompt);
}

TEST(EngineLoop, PromptLogprobsSurviveAPreemption) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 30;
  config.max_num_batched_tokens = 16;
  TestLoop test(config);
  Request request = MakeRequest(Counting(5, 70), 20);
  request.sampling.num_prompt_logprobs = 0;
  request.priority = 1;
  Client client = test.Submit(request);
  test.Turns(2);
  Request urgent = MakeRequest(Counting(300, 60), 20);
  urgent.priority = 0;
  Client other = test.Submit(urgent);
  test.RunUntilIdle();
  client.Take();
  EXPECT_GT(test.metrics.Snapshot().preemptions, 0u);
  EXPECT_EQ(client[0].tokens, Expected(request));
  ExpectPromptLogprobs(client.prompt_logprobs, request.prompt);
}

TEST(EngineLoop, SeedsAreDrawnLoggedAndReplayable) {
  TestLoop test;
  Request request = MakeRequest({1, 2, 3}, 12);
  request.sampling.temperature = 1;
  Client first = test.Submit(request);
  Client second = test.Submit(request);
  test.RunUntilIdle();
  first.Take();
  second.Take();
  EXPECT_NE(first[0].tokens, second[0].tokens);

  const std::vector<std::string> lines = test.logger.lines();
  ASSERT_EQ(lines.size(), 2u);
  const std::string& line = lines[0];
  request.seed = std::stoull(line.substr(line.rfind(' ') + 1));
  EXPECT_LT(*request.seed, uint64_t{1} << 53);
  Client replay = test.Submit(request);
  test.RunUntilIdle();
  replay.Take();
  EXPECT_EQ(replay[0].tokens, first[0].tokens);
}

TEST(EngineLoop, SlowReadersStallOnlyThemselves) {
  TestLoop test;
  Client never_reads = test.Submit(MakeRequest({1}, 50));
  Client reads = test.Submit(MakeRequest({2}, 50));
  while (test.Turn()) reads.Take();
  EXPECT_EQ(reads[0].tokens.size(), 50u);
  EXPECT_EQ(test.metrics.Snapshot().finished_length, 2u);
  never_reads.Take();
  EXPECT_EQ(never_reads[0].tokens.size(), 50u);
}

TEST(EngineLoop, AThrowingRunnerFailsEverybodyAndStaysFailed) {
  TestLoop test;
  Client running = test.Submit(MakeRequest({1}, 50));
  test.Turns(2);
  Client fresh = test.Submit(MakeRequest({2}, 50));
  test.runner.before_run = [](auto) { throw std::runtime_error("device lost"); };
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.door.health(), EngineHealth::kFailed);
  for (Client* client : {&running, &fresh}) {
    client->Take();
    EXPECT_EQ((*client)[0].finish, FinishReason::kFailed);
    EXPECT_EQ((*client)[0].error.code(), StatusCode::kUnavailable);
    EXPECT_NE((*client)[0].error.message().find("device lost"), std::string::npos);
  }
  const Status refused = test.door.Submit(std::make_unique<Request>(MakeRequest({1}, 1))).status();
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  EXPECT_FALSE(test.Turn());
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.failed, 2u);
  EXPECT_EQ(counts.running + counts.waiting, 0u);
}

// Where the device computes alone, a step's events go out while it computes the next one.
TEST(EngineLoop, EventsGoOutWhileTheDeviceComputes) {
  TestLoop test(SmallEngineConfig(), 1, {}, true);
  const Request request = MakeRequest({1, 2, 3}, 3);
  Client client = test.Submit(request);
  size_t num_before_step = 0;
  test.runner.before_run = [&](auto) {
    client.Take();
    num_before_step = client[0].tokens.size();
  };
  for (size_t step = 1; step <= 3; ++step) {
    EXPECT_TRUE(test.Turn());
    EXPECT_EQ(num_before_step, step < 2 ? 0 : step - 2) << "enqueued, nothing has gone out yet";
    client.Take();
    EXPECT_EQ(client[0].tokens.size(), step - 1);
  }
  EXPECT_FALSE(test.Turn());  // no step: the last token goes out at once
  client.Take();
  EXPECT_EQ(client[0].tokens, Expected(request));
  EXPECT_EQ(client[0].finish, FinishReason::kLength);
  EXPECT_EQ(test.metrics.Snapshot().finished_length, 1u);
}

// What ends without a step is heard before one, and the end of a drain after everything.
TEST(EngineLoop, EndsWaitForNoStepOfADeviceThatComputesAlone) {
  TestLoop test(SmallEngineConfig(), 1, {}, true);
  Client running = test.Submit(MakeRequest({1}, 3));
  test.Turn();
  Request late = MakeRequest({2}, 5);
  late.deadline = test.clock.Now();
  Client expired = test.Submit(std::move(late));
  test.clock.Advance(milliseconds(1));
  test.runner.before_run = [&](auto) { expired.Take(); };
  test.Turn();
  EXPECT_EQ(expired[0].finish, FinishReason::kExpired);

  test.door.Drain(test.clock.Now() + seconds(9));
  while (test.door.health() != EngineHealth::kStopped) test.Turn();
  running.Take();
  EXPECT_EQ(running[0].tokens.size(), 3u);
  EXPECT_EQ(running[0].finish, FinishReason::kLength);
}

TEST(EngineLoop, ALongStepHidesNoCount) {
  TestLoop test;
  MetricsSnapshot during;
  test.runner.before_run = [&](auto) { during = test.metrics.Snapshot(); };
  Client client = test.Submit(MakeRequest({1}, 2));
  test.Turn();
  EXPECT_EQ(during.running, 1u);  // not waiting until the step is over
  EXPECT_EQ(during.waiting, 0u);
  EXPECT_TRUE(during.Reconciles());
}

TEST(EngineLoop, ALongStepTurnsHealthRedFromOutside) {
  TestLoop test;
  std::vector<EngineHealth> seen;
  test.runner.before_run = [&](auto) {
    seen.push_back(test.door.health());
    test.clock.Advance(seconds(61));
    seen.push_back(test.door.health());
  };
  Client client = test.Submit(MakeRequest({1}, 1));
  test.Turn();
  EXPECT_EQ(seen, (std::vector<EngineHealth>{EngineHealth::kServing, EngineHealth::kStuck}));
  EXPECT_EQ(test.door.health(), EngineHealth::kServing);
}

TEST(EngineLoop, BatchWaitHoldsTheFirstStepBack) {
  EngineConfig config = SmallEngineConfig();
  config.batch_wait = milliseconds(5);
  TestLoop test(config);
  Client first = test.Submit(MakeRequest({1}, 2));
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.loop.wait_until(), test.clock.Now() + milliseconds(5));
  test.clock.Advance(milliseconds(2));
  Client second = test.Submit(MakeRequest({2}, 2));
  EXPECT_FALSE(test.Turn());
  EXPECT_EQ(test.loop.wait_until(), test.clock.Now() + milliseconds(3));
  test.clock.Advance(milliseconds(3));
  EXPECT_TRUE(test.Turn());
  const HistogramCounts batches = test.metrics.Snapshot().batch_sequences;
  EXPECT_EQ(batches.count, 1u);
  EXPECT_DOUBLE_EQ(batches.sum, 2.0);  // both in the first step
}

TEST(EngineLoop, LatenciesAreThoseOfTheClock) {
  TestLoop test;
  test.runner.before_run = [&](auto) { test.clock.Advance(milliseconds(10)); };
  Client client = test.Submit(MakeRequest(Counting(0, 100), 4));  // prefill takes two steps
  test.clock.Advance(milliseconds(7));
  test.RunUntilIdle();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_DOUBLE_EQ(counts.queue_seconds.sum, 0.007);
  EXPECT_DOUBLE_EQ(counts.prefill_seconds.sum, 0.020);
  EXPECT_DOUBLE_EQ(counts.ttft_seconds.sum, 0.027);
  EXPECT_DOUBLE_EQ(counts.decode_seconds.sum, 0.030);
  EXPECT_DOUBLE_EQ(counts.e2e_seconds.sum, 0.057);
  EXPECT_EQ(counts.inter_token_seconds.count, 3u);
  EXPECT_DOUBLE_EQ(counts.inter_token_seconds.sum, 0.030);
  EXPECT_EQ(counts.steps, 5u);
  EXPECT_DOUBLE_EQ(counts.step_seconds.sum, 0.050);
  EXPECT_DOUBLE_EQ(counts.host_seconds.sum, 0.0);  // the clock moved inside the runner only
  EXPECT_DOUBLE_EQ(counts.batch_tokens.sum, 103.0);
}

}  // namespace
}  // namespace runahead
