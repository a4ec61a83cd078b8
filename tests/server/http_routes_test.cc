#include "server/http_routes.h"

#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"

#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

class HttpRoutesTest : public ::testing::Test {
 protected:
  HttpRoutesTest() {
    tiny_.Start();
    router_ = MakeRouter({.api = &api_, .models = &tiny_.models, .scrape = [] { return "m 1\n"; }});
  }

  HttpResponse Get(const std::string& path) {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    const Route* route = router_.Find("GET", path);
    EXPECT_NE(route, nullptr) << path;
    return std::get<HttpResponse>(route->handler(request));
  }

  TinyModel tiny_;
  OpenAiApi api_{tiny_.models, [](std::function<void()>) {}};
  Router router_;
};

TEST_F(HttpRoutesTest, AServingEngineIsHealthyAndReady) {
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(Get("/health").body, R"({"status":"ok"})");
  EXPECT_EQ(Get("/ready").status, 200);
}

TEST_F(HttpRoutesTest, ADrainingEngineIsHealthyButNotReady) {
  std::latch may_go_on(1);  // an engine without requests would have drained before it is asked
  tiny_.reciter.before_run = [&] { may_go_on.wait(); };
  auto request = std::make_unique<Request>();
  request->prompt = {1};
  auto stream = tiny_.engine->Submit(std::move(request));
  ASSERT_TRUE(stream.ok());
  tiny_.engine->Drain(kNoDeadline);
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(Get("/ready").status, 503);
  may_go_on.count_down();
  while (!(*stream)->finished()) (*stream)->Wait();
}

TEST_F(HttpRoutesTest, AFailedEngineIsNeither) {
  tiny_.reciter.before_run = [] { throw std::runtime_error("device lost"); };
  auto request = std::make_unique<Request>();
  request->prompt = {1};
  auto stream = tiny_.engine->Submit(std::move(request));
  ASSERT_TRUE(stream.ok());
  while (!(*stream)->finished()) (*stream)->Wait();
  while (tiny_.engine->health() == EngineHealth::kServing) std::this_thread::yield();
  EXPECT_EQ(Get("/health").status, 503);
  EXPECT_EQ(Get("/ready").status, 503);
}

TEST_F(HttpRoutesTest, MetricsAndVersionAreOpenAndHealthNeverWaits) {
  EXPECT_EQ(Get("/metrics").body, "m 1\n");
  EXPECT_EQ(Get("/metrics").content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_TRUE(Get("/version").body.starts_with("{\"version\":\""));
  for (const char* path : {"/health", "/ready", "/metrics", "/version"}) {
    EXPECT_TRUE(router_.Find("GET", path)->is_open) << path;
  }
  EXPECT_TRUE(router_.Find("GET", "/health")->is_quick);
  EXPECT_FALSE(router_.Find("POST", "/v1/chat/completions")->is_open);
}

}  // namespace
}  // namespace runahead
