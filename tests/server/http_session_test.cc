#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "server/request_log.h"
#include "tests/server/http_fixture.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;

class HttpSessionTest : public HttpFixture {};

TEST_F(HttpSessionTest, AConnectionServesManyRequests) {
  Start();
  TestClient client(port());
  for (int i = 0; i < 3; ++i) {
    client.Send(kGetQuick);
    const std::string answer = client.ReadAnswer();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\nquick")) << answer;
    EXPECT_NE(answer.find("Connection: keep-alive"), std::string::npos);
  }
}

TEST_F(HttpSessionTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  TestClient client(port());
  const auto post = [](const std::string& body) {
    return "POST /echo HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  };
  client.Send(post("one") + kGetQuick + post("two"));
  EXPECT_TRUE(client.ReadAnswer().ends_with("one"));
  EXPECT_TRUE(client.ReadAnswer().ends_with("quick"));
  EXPECT_TRUE(client.ReadAnswer().ends_with("two"));
}

TEST_F(HttpSessionTest, RequestsPipelinedBehindAStreamWait) {
  Start();
  TestClient client(port());
  client.Send(kGetStream + kGetQuick);
  script_->Say("data", true);
  std::string received = client.ReadUntil("quick");
  EXPECT_NE(received.find("4\r\ndata\r\n0\r\n\r\nHTTP/1.1 200"), std::string::npos) << received;
}

TEST_F(HttpSessionTest, HeadHasNoBodyAndCloseIsHonoured) {
  Start();
  TestClient client(port());
  client.Send("HEAD /quick HTTP/1.1\r\nConnection: close\r\n\r\n");
  const std::string answer = client.ReadAll();
  EXPECT_NE(answer.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("Connection: close\r\n\r\n"));
}

TEST_F(HttpSessionTest, Http10GetsItsStreamWithoutChunks) {
  Start();
  TestClient client(port());
  client.Send("GET /stream HTTP/1.0\r\n\r\n");
  script_->Say("data", true);
  const std::string answer = client.ReadAll();
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\ndata")) << answer;
}

TEST_F(HttpSessionTest, ContinueIsSentWhenAskedFor) {
  Start();
  TestClient client(port());
  client.Send("POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ok");
  EXPECT_TRUE(client.ReadAnswer().ends_with("ok"));
}

TEST_F(HttpSessionTest, NonsenseAndTooMuchAreRefusedAndTheOthersUnharmed) {
  options_.limits.max_header_bytes = 300;
  options_.limits.max_body_bytes = 100;
  Start();
  TestClient other(port());
  const std::pair<std::string, std::string> cases[] = {
      {"\x16\x03\x01 is this TLS?\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nX: " + std::string(1000, 'x'), "431"},
      {"POST /echo HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + std::string(100000, 'x'), "413"},
      {"GET /nope HTTP/1.1\r\nConnection: close\r\n\r\n", "404"},
      {"PUT /echo HTTP/1.1\r\nConnection: close\r\n\r\n", "405"},
      {"GET /throw HTTP/1.1\r\nConnection: close\r\n\r\n", "500"},
  };
  for (const auto& [bytes, status] : cases) {
    TestClient client(port());
    client.Send(bytes);
    const std::string answer = client.ReadAll();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + status)) << answer;
    EXPECT_NE(answer.find("\"param\":null"), std::string::npos) << answer;
  }
  other.Send(kGetQuick);
  EXPECT_TRUE(other.ReadAnswer().ends_with("quick"));
}

TEST_F(HttpSessionTest, SlowHeadersAndBodiesAreCutOff) {
  options_.timeouts.header = milliseconds(30);
  options_.timeouts.body = milliseconds(30);
  Start();
  TestClient header(port());
  header.Send("GET /quick HTT");
  EXPECT_TRUE(header.ReadAll().starts_with("HTTP/1.1 408 "));
  TestClient body(port());
  body.Send("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(body.ReadAll().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpSessionTest, AKeyIsAskedForBeforeTheBody) {
  const HttpGate guarded({.api_keys = {"secret"}, .cors_origins = {}}, router_, clock_, nullptr);
  Start(guarded);
  const std::string head =
      "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n";
  TestClient stranger(port());
  stranger.Send(head + "\r\n");
  const std::string refusal = stranger.ReadAll();  // until the server closes: no body is waited for
  EXPECT_TRUE(refusal.starts_with("HTTP/1.1 401 ")) << refusal;
  EXPECT_NE(refusal.find("Connection: close"), std::string::npos);
  TestClient friendly(port());
  friendly.Send(head + "X-Request-Id: mine\r\nAuthorization: Bearer secret\r\n\r\n");
  EXPECT_EQ(friendly.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  friendly.Send(std::string(1'000'000, 'x'));
  const std::string answer = friendly.ReadAnswer();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer.substr(0, 200);
  EXPECT_NE(answer.find("X-Request-Id: mine"), std::string::npos);
}

TEST_F(HttpSessionTest, AStrangersShortRequestLeavesTheConnectionUsable) {
  const HttpGate guarded({.api_keys = {"secret"}, .cors_origins = {}}, router_, clock_, nullptr);
  Start(guarded);
  TestClient client(port());
  const std::string post = "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n";
  client.Send(post + "\r\nhi");
  EXPECT_TRUE(client.ReadAnswer().starts_with("HTTP/1.1 401 "));
  client.Send(post + "Authorization: Bearer secret\r\n\r\nhi");
  EXPECT_TRUE(client.ReadAnswer().ends_with("hi"));
}

TEST_F(HttpSessionTest, ALongWaitIsFilledWithSignsOfLife) {
  options_.timeouts.keep_alive = milliseconds(5);
  Start();
  TestClient client(port());
  client.Send(kGetStream);
  std::string received = client.ReadUntil("alive");
  received += client.ReadUntil("alive");
  script_->Say("data", true);
  received += client.ReadUntil("0\r\n\r\n");
  EXPECT_TRUE(received.starts_with("HTTP/1.1 200 ")) << received;
  EXPECT_EQ(received.find("HTTP/1.1", 1), std::string::npos) << "one head: " << received;
  EXPECT_TRUE(received.ends_with("5\r\nalive\r\n4\r\ndata\r\n0\r\n\r\n")) << received;
  client.Send(kGetQuick);
  EXPECT_TRUE(client.ReadAnswer().ends_with("quick")) << "and nothing follows the end";
}

TEST_F(HttpSessionTest, IdleConnectionsAreClosedSilently) {
  options_.timeouts.idle = milliseconds(30);
  Start();
  TestClient silent(port());
  EXPECT_EQ(silent.ReadAll(), "");
  TestClient idle(port());
  idle.Send(kGetQuick);
  idle.ReadAnswer();
  EXPECT_EQ(idle.ReadAll(), "");
}

TEST_F(HttpSessionTest, AClientThatGoesBeforeTheAnswerIsNoticed) {
  Start();
  TestClient client(port());
  client.Send(kGetStream);
  while (script_->num_polls.load() == 0) std::this_thread::yield();
  client.Close();
  script_->WaitUntilDropped();
}

TEST_F(HttpSessionTest, AClientThatGoesAmidAStreamIsNoticed) {
  Start();
  TestClient client(port());
  client.Send(kGetStream);
  script_->Say("begin");
  client.ReadUntil("begin");
  client.Close();
  script_->WaitUntilDropped();
}

TEST_F(HttpSessionTest, AHalfClosedClientCountsAsGoneButGetsWhatIsReady) {
  Start();
  TestClient waiting(port());
  waiting.Send(kGetStream);
  waiting.HalfClose();
  script_->WaitUntilDropped();
  TestClient ready(port());
  ready.Send(kGetQuick);
  ready.HalfClose();
  EXPECT_TRUE(ready.ReadAll().ends_with("quick"));
}

// The endless stream fills the client's and the server's buffers and then stalls; its session alone
// waits.
TEST_F(HttpSessionTest, ASlowReaderStallsOnlyItselfAndIsCutOffInTheEnd) {
  options_.num_threads = 1;
  options_.timeouts.write = milliseconds(200);
  script_->is_endless = true;
  Start();
  TestClient slow(port(), 4096);
  slow.Send(kGetStream);
  TestClient other(port());
  for (int i = 0; i < 100; ++i) {
    other.Send(kGetQuick);
    EXPECT_TRUE(other.ReadAnswer().ends_with("quick"));
  }
  script_->WaitUntilDropped();
  EXPECT_LT(script_->num_polls.load(), 1000) << "the reply was not asked for more than fits";
}

// What the log heard of requests that have ended.
class RecordedSessionTest : public HttpFixture {
 protected:
  RecordedSessionTest() {
    router_.Add({"GET", "/recorded", [this](const HttpRequest& request) -> HttpReply {
                   const std::lock_guard lock(mutex_);
                   running_ = request.record;
                   return std::make_unique<ScriptedReply>(script_);
                 }});
  }
  ~RecordedSessionTest() override { server_.reset(); }  // before the log

  RequestFacts WaitForEnd() {
    num_ended_.wait(0);
    const std::lock_guard lock(mutex_);
    --num_ended_;
    return std::exchange(ended_, {}).back();
  }
  Duration StalledSoFar() {
    const std::lock_guard lock(mutex_);
    return running_ == nullptr ? Duration() : running_->Read().stalled;
  }

  std::mutex mutex_;
  std::vector<RequestFacts> ended_;
  std::shared_ptr<RequestRecord> running_;
  std::atomic<int> num_ended_ = 0;
  RequestLog log_{{}, clock_, [this](const RequestFacts& facts) {
                    const std::lock_guard lock(mutex_);
                    ended_.push_back(facts);
                    ++num_ended_;
                    num_ended_.notify_all();
                  }};
  HttpGate recorded_{GateOptions(), router_, clock_, nullptr, &log_};
};

const std::string kPostInTwoParts =
    "POST /echo HTTP/1.1\r\nX-Request-Id: seven\r\nContent-Length: 5\r\n"
    "Expect: 100-continue\r\n\r\n";

TEST_F(RecordedSessionTest, ARecordFollowsARequestToItsLastByte) {
  Start(recorded_);
  TestClient client(port());
  client.Send(kPostInTwoParts);
  client.ReadUntil("100 Continue\r\n\r\n");
  const TimePoint head_was_read = clock_.Now();
  const TimePoint body_was_late = clock_.Now();
  client.Send("abcde");
  client.ReadAnswer();
  const RequestFacts facts = WaitForEnd();
  EXPECT_EQ(facts.origin.id, "seven");
  EXPECT_EQ(facts.origin.path, "/echo");
  EXPECT_TRUE(facts.origin.client.starts_with("127.0.0.1:")) << facts.origin.client;
  EXPECT_EQ(facts.status, 200);
  EXPECT_TRUE(facts.was_delivered);
  EXPECT_LE(facts.origin.first_byte, head_was_read);
  EXPECT_GE(facts.received, body_was_late);
  EXPECT_GE(facts.handled, facts.received);
  EXPECT_GE(facts.answered, facts.handled);
  EXPECT_GE(facts.ended, facts.answered);
}

TEST_F(RecordedSessionTest, APeerThatDoesNotReadIsWaitedForAndThatIsSeen) {
  Start(recorded_);
  TestClient client(port(), /*receive_buffer_bytes=*/4096);
  client.Send("GET /recorded HTTP/1.1\r\n\r\n");
  script_->Say(std::string(16 << 20, 'x'), true);
  while (StalledSoFar() < milliseconds(2)) std::this_thread::yield();
  client.ReadUntil("0\r\n\r\n");
  const RequestFacts facts = WaitForEnd();
  EXPECT_TRUE(facts.was_delivered);
  EXPECT_GE(facts.stalled, milliseconds(2));
}

TEST_F(RecordedSessionTest, APeerThatGoesAwayEndsItsRecord) {
  Start(recorded_);
  {
    TestClient client(port());
    client.Send(kGetStream);
    script_->Say("data");
    client.ReadUntil("data");
  }
  EXPECT_FALSE(WaitForEnd().was_delivered);
  {
    TestClient client(port());
    client.Send(kPostInTwoParts);
    client.ReadUntil("100 Continue\r\n\r\n");
  }
  const RequestFacts facts = WaitForEnd();
  EXPECT_FALSE(facts.was_delivered);
  EXPECT_EQ(facts.status, 0);
}

}  // namespace
}  // namespace runahead
