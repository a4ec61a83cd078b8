#include "server/http_server.h"

#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "gtest/gtest.h"

#include "tests/server/http_fixture.h"

namespace runahead {
namespace {

class HttpServerTest : public HttpFixture {};

TEST_F(HttpServerTest, APortInUseIsSaidWithTheFix) {
  Start();
  HttpOptions second = options_;
  second.port = port();
  const auto taken = HttpServer::Listen(second);
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.status().message().find("Address already in use"), std::string::npos);
  EXPECT_NE(taken.status().message().find("--http-port"), std::string::npos);
}

TEST_F(HttpServerTest, AHostThatIsNotOursAndMissingTlsFilesAreErrors) {
  options_.host = "203.0.113.1";
  EXPECT_FALSE(HttpServer::Listen(options_).ok());
  options_.host = "127.0.0.1";
  options_.tls_cert_file = "/nonexistent.pem";
  EXPECT_FALSE(HttpServer::Listen(options_).ok()) << "a certificate without a key";
  options_.tls_key_file = "/nonexistent.pem";
  const auto missing = HttpServer::Listen(options_);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("/nonexistent.pem"), std::string::npos);
}

TEST_F(HttpServerTest, PostedTasksRunOnThePool) {
  Start();
  std::promise<std::thread::id> ran;
  server_->Post([&ran] { ran.set_value(std::this_thread::get_id()); });
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

// As many as there could be: whatever streams do, a thread is left to sockets that ask.
TEST_F(HttpServerTest, PostedTasksKeepNoSocketWaiting) {
  Start();
  std::promise<void> over;
  const std::shared_future<void> is_over = over.get_future().share();
  for (int i = 0; i < 16; ++i) server_->Post([is_over] { is_over.wait(); });
  TestClient client(port());
  client.Send(kGetQuick);
  EXPECT_TRUE(client.ReadAnswer().starts_with("HTTP/1.1 200 "));
  over.set_value();
}

TEST_F(HttpServerTest, BeyondTheMostConnectionsNewOnesGet503) {
  options_.max_connections = 1;
  Start();
  TestClient first(port());
  first.Send(kGetQuick);
  first.ReadAnswer();
  TestClient second(port());
  const std::string turned_away = second.ReadAll();
  EXPECT_TRUE(turned_away.starts_with("HTTP/1.1 503 ")) << turned_away;
  first.Send(kGetQuick);
  EXPECT_TRUE(first.ReadAnswer().starts_with("HTTP/1.1 200 ")) << "the one inside is unharmed";
}

TEST_F(HttpServerTest, DrainingClosesConnectionsAfterTheirAnswers) {
  Start();
  TestClient idle(port());
  idle.Send(kGetQuick);
  idle.ReadAnswer();
  server_->StartDraining();
  EXPECT_EQ(idle.ReadAll(), "") << "idle connections are closed";
  TestClient fresh(port());
  fresh.Send(kGetQuick);
  EXPECT_NE(fresh.ReadAll().find("Connection: close"), std::string::npos)
      << "probes still get an answer";
}

TEST_F(HttpServerTest, DrainingLetsANewConnectionAskOnce) {
  Start();
  TestClient known(port());
  known.Send(kGetQuick);
  known.ReadAnswer();
  TestClient fresh(port());
  while (server_->num_connections() < 2) std::this_thread::yield();
  server_->StartDraining();
  EXPECT_EQ(known.ReadAll(), "");  // so the others have been told too
  fresh.Send(kGetQuick);
  EXPECT_NE(fresh.ReadAll().find("Connection: close"), std::string::npos);

  TestClient silent(port());
  server_->Stop(std::chrono::hours(1));
  EXPECT_EQ(silent.ReadAll(), "") << "the end waits for nobody who asked for nothing";
}

TEST_F(HttpServerTest, StopWaitsForTheAnswersThatAreOut) {
  Start();
  TestClient client(port());
  client.Send(kGetStream);
  script_->Say("begin");
  client.ReadUntil("begin");
  std::thread stopper([this] { server_->Stop(std::chrono::seconds(10)); });
  script_->Say("end", true);
  const std::string rest = client.ReadAll();
  stopper.join();
  EXPECT_NE(rest.find("end"), std::string::npos);
  EXPECT_TRUE(rest.ends_with("0\r\n\r\n"));
}

TEST_F(HttpServerTest, StopAtOnceDropsWhatRuns) {
  Start();
  TestClient client(port());
  client.Send(kGetStream);
  script_->Say("begin");
  client.ReadUntil("begin");
  server_->Stop(std::chrono::milliseconds(0));
  EXPECT_TRUE(script_->is_dropped.load());
  EXPECT_EQ(server_->num_connections(), 0);
}

}  // namespace
}  // namespace runahead
