#include "server/router.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

Router MakeTestRouter() {
  Router router;
  const auto handler = [](const HttpRequest&) { return HttpResponse(); };
  router.Add({"GET", "/v1/models", handler});
  router.Add({"GET", "/v1/models/", handler});
  router.Add({"POST", "/v1/models", handler});
  return router;
}

TEST(RouterTest, FindsByMethodAndPath) {
  const Router router = MakeTestRouter();
  EXPECT_EQ(router.Find("GET", "/v1/models")->path, "/v1/models");
  EXPECT_EQ(router.Find("HEAD", "/v1/models")->method, "GET");
  EXPECT_EQ(router.Find("GET", "/v1/models/a/b")->path, "/v1/models/");
  EXPECT_EQ(router.Find("GET", "/v1/models/"), router.Find("GET", "/v1/models/"));
  EXPECT_EQ(router.Find("DELETE", "/v1/models"), nullptr);
  EXPECT_EQ(router.Find("GET", "/v1/modelsx"), nullptr);
  EXPECT_EQ(router.Find("GET", "/"), nullptr);
}

TEST(RouterTest, SaysWhatAPathAnswers) {
  const Router router = MakeTestRouter();
  EXPECT_EQ(router.AllowedMethods("/v1/models"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(router.AllowedMethods("/v1/models/x"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(router.AllowedMethods("/nope"), "");
}

}  // namespace
}  // namespace runahead
