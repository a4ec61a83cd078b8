#include "server/http_gate.h"

#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

class HttpGateTest : public ::testing::Test {
 protected:
  HttpGateTest() {
    const auto handler = [](const HttpRequest&) { return HttpResponse(); };
    router_.Add({"POST", "/v1/x", handler});
    router_.Add({.method = "GET", .path = "/health", .handler = handler, .is_open = true});
  }

  HttpGate Make(GateOptions options) {
    return HttpGate(std::move(options), router_, clock_,
                    [this](const Status& status) { refused_.push_back(status.code()); });
  }

  static HttpRequest Ask(std::string method, std::string path) {
    HttpRequest request;
    request.method = std::move(method);
    request.path = std::move(path);
    return request;
  }

  Router router_;
  ManualClock clock_;
  std::vector<StatusCode> refused_;
};

TEST_F(HttpGateTest, EveryRequestGetsAnIdAndKeepsAUsableOne) {
  const HttpGate gate = Make({});
  HttpRequest request = Ask("GET", "/health");
  EXPECT_NE(gate.Admit(request).route, nullptr);
  EXPECT_EQ(request.id.size(), 32u);
  request.headers.Set("X-Request-Id", "client-7");
  gate.Admit(request);
  EXPECT_EQ(request.id, "client-7");
  HttpResponse response;
  gate.Finish(request, response);
  EXPECT_EQ(response.headers.Get("X-Request-Id"), "client-7");
  EXPECT_TRUE(response.headers.Get("Date").ends_with(" GMT"));
  for (const std::string& bad : {std::string("a b"), std::string("a\tb"), std::string(129, 'x')}) {
    request.headers.Set("X-Request-Id", bad);
    gate.Admit(request);
    EXPECT_NE(request.id, bad);
  }
}

TEST_F(HttpGateTest, KeysAreAskedForExceptOnOpenRoutes) {
  const HttpGate gate = Make({.api_keys = {"secret"}, .cors_origins = {}});
  HttpRequest request = Ask("POST", "/v1/x");
  const HttpGate::Admitted refused = gate.Admit(request);
  EXPECT_EQ(refused.route, nullptr);
  EXPECT_EQ(refused.refusal.status, 401);
  EXPECT_EQ(refused_, std::vector{StatusCode::kUnauthenticated});
  request.headers.Set("Authorization", "Bearer secret");
  EXPECT_NE(gate.Admit(request).route, nullptr);
  HttpRequest health = Ask("GET", "/health");
  EXPECT_NE(gate.Admit(health).route, nullptr);
}

TEST_F(HttpGateTest, UnknownPathsAndMethodsAreJsonErrors) {
  const HttpGate gate = Make({});
  HttpRequest request = Ask("GET", "/nope");
  EXPECT_EQ(gate.Admit(request).refusal.status, 404);
  request = Ask("GET", "/v1/x");
  const HttpResponse refusal = gate.Admit(request).refusal;
  EXPECT_EQ(refusal.status, 405);
  EXPECT_EQ(refusal.headers.Get("Allow"), "POST, OPTIONS");
  EXPECT_NE(refusal.body.find("method_not_allowed"), std::string::npos);
}

TEST_F(HttpGateTest, TimeoutsBecomeDeadlines) {
  const HttpGate gate = Make({});
  HttpRequest request = Ask("POST", "/v1/x");
  gate.Admit(request);
  EXPECT_EQ(request.deadline, kNoDeadline);
  request.headers.Set("X-Request-Timeout", "2.5");
  gate.Admit(request);
  EXPECT_EQ(request.deadline, clock_.Now() + std::chrono::milliseconds(2500));
  for (const char* bad : {"soon", "-1", "nan", "inf", "1e300", "5s"}) {
    request.headers.Set("X-Request-Timeout", bad);
    EXPECT_EQ(gate.Admit(request).refusal.status, 400) << bad;
  }
}

TEST_F(HttpGateTest, CorsIsOffByDefault) {
  const HttpGate gate = Make({});
  HttpRequest request = Ask("OPTIONS", "/v1/x");
  request.headers.Add("Origin", "https://a.example");
  const HttpGate::Admitted admitted = gate.Admit(request);
  EXPECT_EQ(admitted.refusal.status, 204);
  HttpResponse response = admitted.refusal;
  gate.Finish(request, response);
  EXPECT_FALSE(response.headers.Has("Access-Control-Allow-Origin"));
  EXPECT_FALSE(response.headers.Has("Access-Control-Allow-Methods"));
}

TEST_F(HttpGateTest, CorsAnswersTheOriginsItWasGiven) {
  const HttpGate gate = Make({.api_keys = {"k"}, .cors_origins = {"https://a.example"}});
  HttpRequest request = Ask("OPTIONS", "/v1/x");
  request.headers.Add("Origin", "https://a.example");
  HttpResponse response = gate.Admit(request).refusal;
  gate.Finish(request, response);
  EXPECT_EQ(response.status, 204) << "a preflight carries no key";
  EXPECT_EQ(response.headers.Get("Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(response.headers.Get("Access-Control-Allow-Methods"), "POST, OPTIONS");
  EXPECT_EQ(response.headers.Get("Vary"), "Origin");
  request.headers.Set("Origin", "https://b.example");
  HttpResponse other;
  gate.Finish(request, other);
  EXPECT_FALSE(other.headers.Has("Access-Control-Allow-Origin"));
}

TEST_F(HttpGateTest, ATraceIsTakenOverAndAnswered) {
  const HttpGate gate = Make({});
  const std::string trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  HttpRequest request = Ask("GET", "/health");
  request.headers.Add("Traceparent", "00-" + trace_id + "-00f067aa0ba902b7-01");
  gate.Admit(request);
  ASSERT_TRUE(request.trace);
  HttpResponse response;
  gate.Finish(request, response);
  EXPECT_EQ(response.headers.Get("traceresponse"),
            "00-" + trace_id + "-" + request.trace->span_id + "-01");

  request.headers.Add("traceparent", "00-" + trace_id + "-00f067aa0ba902b8-01");
  gate.Admit(request);
  EXPECT_FALSE(request.trace) << "nobody can say which of two is meant";
  HttpResponse untraced;
  gate.Finish(request, untraced);
  EXPECT_FALSE(untraced.headers.Has("traceresponse"));
}

TEST_F(HttpGateTest, RecordsAreOfAllButOpenRoutesAndNameTheKeyNotItsText) {
  std::vector<RequestFacts> ended;
  RequestLog log({.key_names = {}}, clock_,
                 [&ended](const RequestFacts& facts) { ended.push_back(facts); });
  const HttpGate gate({.api_keys = {"secret", "other"}, .cors_origins = {}}, router_, clock_,
                      nullptr, &log);
  HttpRequest probe = Ask("GET", "/health");
  gate.Admit(probe);
  EXPECT_EQ(probe.record, nullptr);
  for (const auto& [path, key, status] :
       {std::tuple("/v1/x", "Bearer other", 200), std::tuple("/v1/x", "Bearer wrong", 401),
        std::tuple("/nowhere", "Bearer other", 404)}) {
    HttpRequest request = Ask("POST", path);
    request.headers.Add("Authorization", key);
    HttpGate::Admitted admitted = gate.Admit(request);
    ASSERT_NE(request.record, nullptr);
    gate.Finish(request, admitted.refusal);
    request.record->OnEnd(true);
    EXPECT_EQ(ended.back().status, status);
    EXPECT_EQ(ended.back().origin.key, status == 200 ? 1 : -1);
    EXPECT_EQ(request.key, ended.back().origin.key);
    EXPECT_EQ(ended.back().origin.path, path);
  }
}

}  // namespace
}  // namespace runahead
