#include "server/loadgen/load_client.h"

#include <atomic>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/http_server.h"
#include "server/loadgen/arrivals.h"
#include "tests/server/tls_files.h"

namespace runahead {
namespace {

using testing::HasSubstr;

// A real HTTP server whose completions are canned.
class LoadClientTest : public testing::Test {
 protected:
  LoadClientTest() : gate_({.api_keys = {"key"}, .cors_origins = {}}, router_, clock_, nullptr) {
    router_.Add({"POST", "/v1/completions", [this](const HttpRequest& request) {
                   ++num_asked_;
                   HttpResponse response;
                   response.body = R"({"choices":[{"text":"hi"}],"usage":{"prompt_tokens":)" +
                                   std::to_string(request.body.size()) +
                                   R"(,"completion_tokens":2}})";
                   return response;
                 }});
    router_.Add({"GET", "/v1/models", [](const HttpRequest&) { return HttpResponse(); }});
    Serve({});
  }

  void Serve(HttpOptions options, int port = 0) {
    options.host = "127.0.0.1";
    options.port = port;
    auto server = HttpServer::Listen(options);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(*server);
    server_->Serve(router_, gate_);
  }

  std::unique_ptr<LoadClient> MakeClient(const std::string& key = "key") {
    ClientOptions options{.api_key = key};
    options.url = *ParseServerUrl("http://127.0.0.1:" + std::to_string(server_->port()));
    return LoadClient::Make(options).value();
  }

  SteadyClock clock_;
  Router router_;
  HttpGate gate_;
  std::atomic<int> num_asked_ = 0;
  std::unique_ptr<HttpServer> server_;
};

std::vector<std::string> Bodies(int count) {
  std::vector<std::string> bodies;
  for (int i = 0; i < count; ++i) bodies.emplace_back(static_cast<size_t>(i + 1), ' ');
  return bodies;
}

TEST_F(LoadClientTest, AClosedLoopSendsEverythingOnAConnectionAClient) {
  const auto client = MakeClient();
  const LoadRun run =
      client->Run({.path = "/v1/completions", .concurrency = 4}, Bodies(60), nullptr);
  ASSERT_EQ(run.records.size(), 60u);
  for (size_t i = 0; i < 60; ++i) {
    const LoadRecord& record = run.records[i];
    ASSERT_TRUE(record.ok()) << record.error_kind << " " << record.error;
    EXPECT_EQ(record.usage->prompt_tokens, static_cast<int>(i + 1)) << "its own body's answer";
    EXPECT_LE(record.sent_s, record.last_s);
    EXPECT_LE(record.last_s, record.ended_s);
    EXPECT_LE(record.ended_s, run.wall_s);
  }
  EXPECT_EQ(num_asked_, 60);
  EXPECT_EQ(run.num_connections, 4);
  EXPECT_LE(MakeLoadReport(run, {}).peak_in_flight, 4);
  EXPECT_GT(run.client_cpu_s, 0);
}

TEST_F(LoadClientTest, AnOpenLoopSendsWhenItsGapsSay) {
  const ArrivalSpec spec{.rate = 500, .burstiness = 0.5, .seed = 3};
  const auto client = MakeClient();
  const LoadRun run = client->Run({.path = "/v1/completions",
                                   .concurrency = 0,
                                   .rate = spec.rate,
                                   .burstiness = spec.burstiness,
                                   .seed = spec.seed},
                                  Bodies(50), nullptr);
  ASSERT_EQ(run.records.size(), 50u);
  EXPECT_TRUE(run.is_open_loop);
  Arrivals arrivals(spec);
  double due_s = 0;
  for (const LoadRecord& record : run.records) {
    EXPECT_TRUE(record.ok());
    EXPECT_DOUBLE_EQ(record.due_s, due_s);
    EXPECT_GE(record.sent_s, due_s);
    due_s += arrivals.NextGap();
  }
}

TEST_F(LoadClientTest, AnOpenLoopMayBeBounded) {
  const auto client = MakeClient();
  const LoadRun run =
      client->Run({.path = "/v1/completions", .concurrency = 2, .rate = 1e6}, Bodies(40), nullptr);
  EXPECT_EQ(run.records.size(), 40u);
  EXPECT_LE(MakeLoadReport(run, {}).peak_in_flight, 2);
}

TEST_F(LoadClientTest, RefusalsAreFailuresOfTheirKind) {
  const LoadRun run = MakeClient("wrong")->Run({.path = "/v1/completions"}, Bodies(3), nullptr);
  for (const LoadRecord& record : run.records) EXPECT_EQ(record.error_kind, "http_401");
  const LoadRun lost = MakeClient()->Run({.path = "/v1/nothing"}, Bodies(1), nullptr);
  EXPECT_EQ(lost.records[0].error_kind, "http_404");
  EXPECT_EQ(num_asked_, 0);
}

TEST_F(LoadClientTest, CallsSayWhatWentWrong) {
  const auto client = MakeClient();
  EXPECT_TRUE(client->Call("GET", "/v1/models", "").ok());
  const auto lost = client->Call("POST", "/nowhere", "{}");
  EXPECT_EQ(lost.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(lost.status().message(), HasSubstr("HTTP 404: {\"error\""));
}

// A kept connection that the server has closed meanwhile costs nothing but a new one.
TEST_F(LoadClientTest, AStaleConnectionIsReplaced) {
  const auto client = MakeClient();
  ASSERT_TRUE(client->Call("GET", "/v1/models", "").ok());
  const int port = server_->port();
  server_->Stop(std::chrono::milliseconds(0));
  Serve({}, port);
  const LoadRun run = client->Run({.path = "/v1/completions"}, Bodies(2), nullptr);
  for (const LoadRecord& record : run.records) {
    EXPECT_TRUE(record.ok()) << record.error_kind << " " << record.error;
  }
  EXPECT_EQ(run.num_connections, 1);
}

TEST_F(LoadClientTest, NobodyAtHomeIsSaid) {
  const auto client = MakeClient();
  server_->Stop(std::chrono::milliseconds(0));
  EXPECT_THAT(client->Call("GET", "/v1/models", "").status().message(),
              HasSubstr("cannot connect"));
  const LoadRun run = client->Run({.path = "/v1/completions"}, Bodies(2), nullptr);
  for (const LoadRecord& record : run.records) EXPECT_EQ(record.error_kind, "connect");
}

TEST_F(LoadClientTest, ProgressEndsComplete) {
  const auto client = MakeClient();
  LoadProgress last;
  client->Run({.path = "/v1/completions", .concurrency = 2}, Bodies(10),
              [&last](const LoadProgress& progress) { last = progress; });
  EXPECT_EQ(last.num_total, 10);
  EXPECT_EQ(last.num_done, 10);
  EXPECT_EQ(last.num_in_flight, 0);
}

// The certificate names localhost, which may be any of this machine's addresses.
TEST_F(LoadClientTest, TlsTrustsWhomItIsTold) {
  HttpOptions served;
  served.tls_cert_file = testing::TempDir() + "load_client_cert.pem";
  served.tls_key_file = testing::TempDir() + "load_client_key.pem";
  WriteCertificate(served.tls_cert_file, served.tls_key_file);
  Serve(served);
  const auto ask = [this](const std::string& host, ClientOptions options) {
    options.api_key = "key";
    options.url = *ParseServerUrl("https://" + host + ":" + std::to_string(server_->port()));
    return (*LoadClient::Make(options))->Call("GET", "/v1/models", "").status();
  };
  EXPECT_TRUE(ask("localhost", {.ca_file = served.tls_cert_file}).ok());
  EXPECT_TRUE(ask("127.0.0.1", {.is_insecure = true}).ok());
  EXPECT_THAT(ask("localhost", {}).message(), HasSubstr("certificate verify failed"));
  EXPECT_THAT(ask("127.0.0.1", {.ca_file = served.tls_cert_file}).message(),
              HasSubstr("certificate verify failed"));
  ClientOptions missing{.ca_file = "/nonexistent.pem"};
  missing.url = *ParseServerUrl("https://localhost");
  EXPECT_THAT(LoadClient::Make(missing).status().message(), HasSubstr("--ca-file"));
}

}  // namespace
}  // namespace runahead
