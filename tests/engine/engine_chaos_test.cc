// Clients that submit, read, stop reading, leave, stop early, come too late or ask for nonsense,
// all at once: at every moment the engine's counts add up, and at the end they are the clients'
// own.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "loop_fixture.h"
#include "test_drafters.h"

namespace runahead {
namespace {

constexpr int kNumClients = 4;
constexpr int kRequestsPerClient = 150;

// What the clients know. A stream dropped before its finish was read may have finished all the
// same.
struct ClientCounts {
  uint64_t received = 0;
  uint64_t stop = 0;
  uint64_t length = 0;
  uint64_t expired = 0;
  uint64_t dropped = 0;
  std::array<uint64_t, kNumRejectReasons> rejected = {};
  uint64_t tokens = 0;  // usage, of requests that were read to the end

  void Add(const ClientCounts& other) {
    received += other.received;
    stop += other.stop;
    length += other.length;
    expired += other.expired;
    dropped += other.dropped;
    for (size_t i = 0; i < rejected.size(); ++i) rejected[i] += other.rejected[i];
    tokens += other.tokens;
  }
};

// Every way in which the two accounts differ, once nothing is in flight.
std::vector<std::string> Differences(const MetricsSnapshot& engine, const ClientCounts& clients) {
  std::vector<std::string> found;
  const auto compare = [&found](const char* what, uint64_t engines, uint64_t theirs) {
    if (engines == theirs) return;
    found.push_back(std::string(what) + ": engine " + std::to_string(engines) + ", clients " +
                    std::to_string(theirs));
  };
  compare("received", engine.received, clients.received);
  for (size_t i = 0; i < clients.rejected.size(); ++i) {
    compare("rejected", engine.rejected[i], clients.rejected[i]);
  }
  compare("stop", engine.finished_stop, clients.stop);
  // No request that is dropped can stop or expire: it ended by length first, or was cancelled.
  compare("length or cancelled", engine.finished_length + engine.cancelled[0] + engine.cancelled[1],
          clients.length + clients.dropped);
  compare("expired", engine.expired[0] + engine.expired[1], clients.expired);
  compare("failed", engine.failed, 0);
  compare("in flight", engine.waiting + engine.running, 0);
  if (clients.dropped == 0) {
    compare("tokens", engine.generated_tokens - engine.discarded_tokens, clients.tokens);
  }
  return found;
}

struct ChaosCase {
  bool may_leave = false;
  bool speculates = false;
};

// One client thread: up to four requests open at a time, its choices drawn from its own seed.
class ChaosClient {
 public:
  ChaosClient(Engine& engine, const Clock& clock, uint64_t seed, ChaosCase tested)
      : engine_(engine),
        clock_(clock),
        random_(seed),
        may_leave_(tested.may_leave),
        speculates_(tested.speculates) {}

  void Run() {
    for (int i = 0; i < kRequestsPerClient; ++i) {
      if (open_.size() == 4) Serve(Draw(4));
      Submit();
    }
    while (!open_.empty()) Serve(0);
  }
  const ClientCounts& counts() const { return counts_; }

 private:
  enum class Plan { kRead, kLeave, kFinishEarly, kTooLate };
  struct Open {
    Plan plan;
    int after = 0;  // tokens, for those who leave or finish early
    int num_tokens = 0;
    FinishReason finish = FinishReason::kNone;
    std::unique_ptr<ResponseStream> stream;
  };

  size_t Draw(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  void Submit() {
    Request request =
        MakeRequest(Counting(static_cast<int32_t>(Draw(3)), 1 + static_cast<int>(Draw(60))),
                    1 + static_cast<int>(Draw(30)));
    request.sampling.temperature = Draw(2) == 0 ? 0.0f : 1.0f;
    request.priority = static_cast<int>(Draw(2));
    Open open = {.plan = DrawPlan(), .stream = nullptr};
    if (open.plan == Plan::kTooLate) request.deadline = clock_.Now();
    request.may_finish_early = open.plan == Plan::kFinishEarly;
    open.after = static_cast<int>(Draw(20));
    if (speculates_) Speculate(request);
    const size_t nonsense = Draw(20);
    if (nonsense == 0) request.prompt.clear();
    if (nonsense == 1) request.prompt.assign(1000, 1);

    ++counts_.received;
    auto stream = engine_.Submit(std::make_unique<Request>(std::move(request)));
    if (!stream.ok()) {
      const RejectReason reason = nonsense == 0   ? RejectReason::kInvalid
                                  : nonsense == 1 ? RejectReason::kTooLong
                                                  : RejectReason::kQueueFull;
      ++counts_.rejected[static_cast<size_t>(reason)];
      return;
    }
    open.stream = std::move(stream).value();
    open_.push_back(std::move(open));
  }

  void Speculate(Request& request) {
    const size_t mode = Draw(4);
    if (mode == 0) request.speculation.mode = SpeculationMode::kOff;
    if (mode == 1) request.speculation = {SpeculationMode::kFixed, 1 + static_cast<int>(Draw(16))};
    if (Draw(2) == 0) request.prediction = Counting(0, 1 + static_cast<int>(Draw(20)));
  }

  Plan DrawPlan() {
    const size_t plan = Draw(may_leave_ ? 8 : 4);
    if (plan < 3) return Plan::kRead;
    if (plan == 3) return Plan::kFinishEarly;
    return plan == 7 ? Plan::kTooLate : Plan::kLeave;
  }

  // Reads one request to its end, the way it was planned; the others go unread meanwhile.
  void Serve(size_t index) {
    Open open = std::move(open_[index]);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index));
    while (!open.stream->finished()) {
      if (open.plan == Plan::kLeave && open.num_tokens >= open.after) break;
      for (const TokenEvent& event : open.stream->Wait()) {
        open.num_tokens += event.token >= 0 ? 1 : 0;
        open.finish = event.finish;
      }
      if (open.plan == Plan::kFinishEarly && open.num_tokens > open.after) {
        open.num_tokens = open.after;
        open.finish = FinishReason::kStop;
        open.stream->Finish(0, open.after);  // maybe after the engine's own finish was read
        break;
      }
    }
    Count(open);
  }

  void Count(const Open& open) {
    counts_.tokens += static_cast<uint64_t>(open.num_tokens);
    counts_.stop += open.finish == FinishReason::kStop ? 1 : 0;
    counts_.length += open.finish == FinishReason::kLength ? 1 : 0;
    counts_.expired += open.finish == FinishReason::kExpired ? 1 : 0;
    counts_.dropped += open.finish == FinishReason::kNone ? 1 : 0;
  }

  Engine& engine_;
  const Clock& clock_;
  std::mt19937_64 random_;
  bool may_leave_;
  bool speculates_;
  std::vector<Open> open_;
  ClientCounts counts_;
};

// What holds of drafts at any instant.
void ExpectDraftsAddUp(const MetricsSnapshot& snapshot) {
  uint64_t num_accepted = 0;
  for (const DrafterCounts& drafter : snapshot.drafters) {
    EXPECT_GE(drafter.drafted_tokens, drafter.accepted_tokens);
    num_accepted += drafter.accepted_tokens;
  }
  EXPECT_EQ(snapshot.generated_tokens, snapshot.tokens_per_run.count + num_accepted);
}

class EngineChaos : public testing::TestWithParam<ChaosCase> {
 protected:
  static EngineConfig Config() {
    EngineConfig config = SmallEngineConfig();
    config.num_blocks = 40;  // 160 tokens for eight sequences of up to 91: preemptions happen
    config.max_queue = 10;
    if (GetParam().speculates) {
      config.speculation.drafters = {DrafterKind::kModel, DrafterKind::kNgram,
                                     DrafterKind::kPrediction};
    }
    return config;
  }

  // Scrapes as long as the clients run; every scrape must add up and no counter may fall.
  ClientCounts RunClients(Engine& engine) {
    std::vector<ChaosClient> clients;
    for (uint64_t c = 0; c < kNumClients; ++c) clients.emplace_back(engine, clock_, c, GetParam());
    std::atomic<int> num_running = kNumClients;
    std::vector<std::thread> threads;
    for (ChaosClient& client : clients) {
      threads.emplace_back([&client, &num_running] {
        client.Run();
        --num_running;
      });
    }
    uint64_t last_received = 0;
    do {
      const MetricsSnapshot snapshot = metrics_.Snapshot();
      EXPECT_TRUE(snapshot.Reconciles());
      ExpectDraftsAddUp(snapshot);
      EXPECT_GE(snapshot.received, last_received);
      last_received = snapshot.received;
    } while (num_running > 0);
    ClientCounts total;
    for (std::thread& thread : threads) thread.join();
    for (const ChaosClient& client : clients) total.Add(client.counts());
    return total;
  }

  SteadyClock clock_;
  Metrics metrics_;
  NullLogger logger_;
};

TEST_P(EngineChaos, TheEnginesCountsAreTheClients) {
  const EngineConfig config = Config();
  FakeRunner runner(config.num_blocks, config.block_size, kFakeVocab);
  FakeDraftModel draft_model(config.num_blocks, config.block_size, kFakeVocab, 70);
  RandomDecider decider(1);
  Engine engine(config, runner, clock_, metrics_, logger_,
                {.model = &draft_model, .decider = &decider});
  const ClientCounts clients = RunClients(engine);
  engine.Drain(kNoDeadline);  // what the clients dropped last is still in the mailbox
  engine.WaitUntilDrained();

  const MetricsSnapshot snapshot = metrics_.Snapshot();
  EXPECT_TRUE(snapshot.Reconciles());
  EXPECT_THAT(Differences(snapshot, clients), testing::IsEmpty());
  EXPECT_EQ(snapshot.used_blocks, 0);
  EXPECT_GT(snapshot.preemptions, 0u);
  EXPECT_GT(snapshot.discarded_tokens, 0u);
  ExpectDraftsAddUp(snapshot);
  EXPECT_EQ(snapshot.draft_catch_up_tokens > 0, GetParam().speculates);

  // The comparison is worth something: it sees a single lost decrement or increment anywhere.
  uint64_t MetricsSnapshot::*const planted[] = {
      &MetricsSnapshot::received, &MetricsSnapshot::finished_stop,
      &MetricsSnapshot::finished_length, &MetricsSnapshot::running, &MetricsSnapshot::waiting};
  for (const auto member : planted) {
    MetricsSnapshot wrong = snapshot;
    ++(wrong.*member);
    EXPECT_FALSE(wrong.Reconciles());
    EXPECT_THAT(Differences(wrong, clients), testing::Not(testing::IsEmpty()));
  }
}

INSTANTIATE_TEST_SUITE_P(All, EngineChaos,
                         testing::Values(ChaosCase{false, false}, ChaosCase{true, false},
                                         ChaosCase{false, true}, ChaosCase{true, true}),
                         [](const auto& tested) {
                           return std::string(tested.param.may_leave ? "WithClientsThatLeave"
                                                                     : "AllReadToTheEnd") +
                                  (tested.param.speculates ? "AndDrafts" : "");
                         });

// A gauge kept by increments would stay wrong for ever after one lost decrement; ours is counted
// anew.
TEST(EngineChaosGauge, ALostDecrementDoesNotOutliveATurn) {
  TestLoop test;
  Client client = test.Submit(MakeRequest({1}, 5));
  test.Turn();
  test.metrics.Update([](MetricsSnapshot& counts) { ++counts.running; });
  EXPECT_FALSE(test.metrics.Snapshot().Reconciles());
  test.loop.RunOnce();
  EXPECT_TRUE(test.metrics.Snapshot().Reconciles());
  EXPECT_EQ(test.metrics.Snapshot().running, 1u);
}

// An outcome that goes uncounted, on the other hand, is seen by every scrape from then on.
TEST(EngineChaosGauge, ALostOutcomeNeverReconcilesAgain) {
  TestLoop test;
  Client lost = test.Submit(MakeRequest({1}, 1));
  test.RunUntilIdle();
  test.metrics.Update([](MetricsSnapshot& counts) { --counts.finished_length; });
  Client next = test.Submit(MakeRequest({2}, 1));
  while (test.loop.RunOnce()) {
  }
  EXPECT_FALSE(test.metrics.Snapshot().Reconciles());
}

}  // namespace
}  // namespace runahead
