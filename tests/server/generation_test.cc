#include "server/generation.h"

#include <future>
#include <latch>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/request_log.h"
#include "server/request_segments.h"
#include "server/task_thread.h"
#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

struct Outcome {
  std::string text;
  int num_tokens = 0;
  FinishReason finish = FinishReason::kNone;
  std::optional<std::variant<std::string, int32_t>> stop_reason;
  Status error;
};

class GenerationTest : public ::testing::Test {
 protected:
  GenerationRequest Text(std::string prompt) {
    GenerationRequest request;
    request.id = "r";
    request.model = "tiny";
    request.prompt = TextPrompt{std::move(prompt)};
    request.sampling.temperature = 0;
    return request;
  }

  Result<std::shared_ptr<Generation>> Start(const GenerationRequest& request) {
    if (model_.engine == nullptr) model_.Start();
    return Generation::Start(model_.served, request,
                             [this](std::function<void()> task) { pool_.Post(std::move(task)); });
  }

  static void WaitForDeltas(Generation& generation) {
    std::promise<void> ready;
    generation.Arm([&ready] { ready.set_value(); });
    ready.get_future().wait();
  }

  std::map<int, Outcome> ReadAll(Generation& generation) {
    std::map<int, Outcome> outcomes;
    while (!generation.finished()) {
      WaitForDeltas(generation);
      for (Delta& delta : generation.Take()) {
        Outcome& outcome = outcomes[delta.choice];
        EXPECT_EQ(outcome.finish, FinishReason::kNone) << "nothing follows a finish";
        outcome.text += delta.text;
        outcome.num_tokens += static_cast<int>(delta.tokens.size());
        outcome.finish = delta.finish;
        outcome.stop_reason = delta.stop_reason;
        outcome.error = delta.error;
      }
    }
    return outcomes;
  }

  Outcome Run(const GenerationRequest& request) {
    auto generation = Start(request);
    EXPECT_TRUE(generation.ok()) << generation.status().message();
    auto outcomes = ReadAll(**generation);
    usage_ = (*generation)->usage();
    return outcomes[0];
  }

  TinyModel model_;
  TaskThread pool_;
  Usage usage_;
};

TEST_F(GenerationTest, TextComesBackAndUsageCountsTheEndOfText) {
  const Outcome outcome = Run(Text("abc"));
  EXPECT_EQ(outcome.text, "hello");
  EXPECT_EQ(outcome.finish, FinishReason::kStop);
  EXPECT_EQ(usage_.prompt_tokens, 3);
  EXPECT_EQ(usage_.completion_tokens, 6);
}

TEST_F(GenerationTest, LengthLimitsAreTheClientsOrTheContexts) {
  model_.reciter.is_endless = true;
  GenerationRequest request = Text("abc");
  request.max_tokens = 4;
  EXPECT_EQ(Run(request).text, "hell");
  request.max_tokens = 1'000'000;
  const Outcome clipped = Run(request);
  EXPECT_EQ(clipped.num_tokens, 256 - 3);
  EXPECT_EQ(clipped.finish, FinishReason::kLength);
}

TEST_F(GenerationTest, AStopStringEndsUsageAtTheMatchingToken) {
  model_.reciter.is_endless = true;
  GenerationRequest request = Text("abc");
  request.stop = {"loh"};
  const Outcome outcome = Run(request);
  EXPECT_EQ(outcome.text, "hel");
  EXPECT_EQ(outcome.finish, FinishReason::kStop);
  EXPECT_EQ(std::get<std::string>(*outcome.stop_reason), "loh");
  EXPECT_EQ(usage_.completion_tokens, 6);
}

// The pump runs when events arrive, not when the front end takes deltas: a client that never reads
// must not keep a choice alive past its stop string.
TEST_F(GenerationTest, AStopStringMatchesThoughNobodyReads) {
  model_.reciter.is_endless = true;
  GenerationRequest request = Text("abc");
  request.stop = {"loh"};
  auto generation = Start(request);
  ASSERT_TRUE(generation.ok());
  // Nothing is taken here; the engine's own account must show the end.
  MetricsSnapshot now = model_.metrics.Snapshot();
  while (now.finished_stop == 0) {
    std::this_thread::yield();
    now = model_.metrics.Snapshot();
  }
  EXPECT_EQ(now.generated_tokens - now.discarded_tokens, 6u);
  EXPECT_EQ(now.finished_length, 0u);
}

TEST_F(GenerationTest, ChoicesAreToldApart) {
  model_.reciter.texts = {"one", "two"};
  GenerationRequest request = Text("abc");
  request.num_choices = 2;
  request.sampling.temperature = 1;
  auto generation = Start(request);
  ASSERT_TRUE(generation.ok());
  auto outcomes = ReadAll(**generation);
  EXPECT_EQ(outcomes[0].text, "one");
  EXPECT_EQ(outcomes[1].text, "two");
  EXPECT_EQ((*generation)->usage().completion_tokens, 8);
}

TEST_F(GenerationTest, TheChatTemplateMakesThePrompt) {
  GenerationRequest request = Text("");
  ChatPrompt chat;
  chat.messages = nlohmann::ordered_json::array({{{"role", "user"}, {"content", "hi"}}});
  request.prompt = chat;
  auto generation = Start(request);
  ASSERT_TRUE(generation.ok());
  EXPECT_EQ(model_.served.tokenizer->Decode((*generation)->prompt_ids(), false),
            "user:hi;assistant:");
  ReadAll(**generation);
}

TEST_F(GenerationTest, EchoAndPromptLogprobsWithoutAnyNewToken) {
  GenerationRequest request = Text("abc");
  request.echo = true;
  request.max_tokens = 0;
  request.sampling.num_logprobs = 1;
  request.sampling.num_prompt_logprobs = 1;
  auto generation = Start(request);
  ASSERT_TRUE(generation.ok()) << generation.status().message();
  const Outcome outcome = ReadAll(**generation)[0];
  EXPECT_EQ(outcome.text, "abc");
  EXPECT_EQ(outcome.num_tokens, 3);
  EXPECT_EQ(outcome.finish, FinishReason::kLength);
  EXPECT_EQ((*generation)->prompt_logprobs().size(), 2u);
  EXPECT_EQ((*generation)->usage().completion_tokens, 0);
}

TEST_F(GenerationTest, ATooLongPromptIsRefusedInOpenAisWords) {
  const auto generation = Start(Text(std::string(300, 'x')));
  ASSERT_FALSE(generation.ok());
  EXPECT_EQ(generation.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(generation.status().reason(), "context_length_exceeded");
  EXPECT_EQ(generation.status().param(), "prompt");
  EXPECT_THAT(generation.status().message(),
              ::testing::StartsWith("This model's maximum context length is 256 tokens."));
  EXPECT_EQ(model_.metrics.Snapshot().rejected[static_cast<size_t>(RejectReason::kTooLong)], 1u);
}

TEST_F(GenerationTest, RefusalsAreCountedOnce) {
  EXPECT_FALSE(Start(Text("")).ok());
  GenerationRequest request = Text("abc");
  request.prompt = TokenPrompt{{99999}};
  EXPECT_FALSE(Start(request).ok());
  const MetricsSnapshot counts = model_.metrics.Snapshot();
  EXPECT_EQ(counts.rejected[static_cast<size_t>(RejectReason::kInvalid)], 2u);
  EXPECT_EQ(counts.received, 2u);
}

TEST_F(GenerationTest, ARequestWithoutDeadlineHasTheDefaultOne) {
  model_.reciter.is_endless = true;
  model_.served.default_timeout = Duration(1);
  EXPECT_EQ(Run(Text("abc")).finish, FinishReason::kExpired);
  GenerationRequest patient = Text("abc");
  patient.deadline = model_.clock.Now() + std::chrono::hours(1);
  patient.max_tokens = 4;
  EXPECT_EQ(Run(patient).finish, FinishReason::kLength) << "its own counts";
}

TEST_F(GenerationTest, DestroyingItCancels) {
  model_.reciter.is_endless = true;
  std::latch running(1);
  model_.reciter.before_run = [&running, first = true]() mutable {
    if (std::exchange(first, false)) running.count_down();
  };
  {
    auto generation = Start(Text("abc"));
    ASSERT_TRUE(generation.ok());
    running.wait();
  }
  while (model_.metrics.Snapshot().running > 0) std::this_thread::yield();
  const MetricsSnapshot counts = model_.metrics.Snapshot();
  EXPECT_EQ(counts.cancelled[0] + counts.cancelled[1] + counts.finished_length, 1u);
}

// A record is told of everything, and changes nothing.
TEST_F(GenerationTest, ItsRecordSaysWhereTheTimeWent) {
  model_.reciter.texts = {"a text with an end.", "another one"};
  RequestLog log({}, model_.clock, nullptr);
  GenerationRequest request = Text("abc");
  request.num_choices = 2;
  request.stop = {"end"};
  const auto read = [&] {
    auto generation = Start(request);
    EXPECT_TRUE(generation.ok());
    auto outcomes = ReadAll(**generation);
    return outcomes[0].text + "|" + outcomes[1].text;
  };
  const std::string unrecorded = read();
  request.record = log.Begin({.id = "r"});
  request.record->OnReceived();
  request.record->OnHandled();
  request.record->OnGeneration("r", "cmpl-r", "tiny");
  EXPECT_EQ(read(), unrecorded);
  request.record->OnAnswered(200);
  request.record->OnEnd(true);
  // The stop string was found here, and its reader may be done before the engine hears of it.
  RequestFacts facts = request.record->Read();
  ASSERT_EQ(facts.prompts.size(), 1u);
  while (facts.prompts[0].timeline == nullptr || !facts.prompts[0].timeline->has_ended) {
    std::this_thread::yield();
    facts = request.record->Read();
  }
  EXPECT_EQ(StatusOf(facts), RequestStatus::kFinished);
  EXPECT_EQ(facts.prompt_tokens, 3);
  EXPECT_EQ(facts.completion_tokens, 15 + 3 + 12);
  EXPECT_THAT(facts.prompts[0].finishes,
              testing::ElementsAre(FinishReason::kStop, FinishReason::kStop));
  EXPECT_GE(facts.prompts[0].timeline->num_decode_steps, 10);
  const RequestSegments segments = SegmentsOf(facts, model_.clock.Now());
  EXPECT_GT(segments.of(WallSegment::kPrefill), Duration());
  EXPECT_GT(segments.of(WallSegment::kDecode), Duration());
}

TEST_F(GenerationTest, AnEngineThatFailsEndsTheRecordsRequestToo) {
  RequestLog log({}, model_.clock, nullptr);
  model_.reciter.before_run = [] { throw std::runtime_error("device lost"); };
  GenerationRequest request = Text("abc");
  request.record = log.Begin({.id = "r"});
  request.record->OnGeneration("r", "cmpl-r", "tiny");
  EXPECT_EQ(Run(request).finish, FinishReason::kFailed);
  EXPECT_EQ(StatusOf(request.record->Read()), RequestStatus::kFailed);
}

}  // namespace
}  // namespace runahead
