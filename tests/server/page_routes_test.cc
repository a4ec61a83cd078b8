#include "server/page_routes.h"

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "server/http_gate.h"
#include "server/page_files.h"

namespace runahead {
namespace {

class PageRoutesTest : public ::testing::Test {
 protected:
  PageRoutesTest() { AddPageRoutes(router_); }

  HttpResponse Get(const std::string& path, const std::string& if_none_match = "") {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    if (!if_none_match.empty()) request.headers.Add("If-None-Match", if_none_match);
    const Route* route = router_.Find("GET", path);
    EXPECT_NE(route, nullptr) << path;
    if (route == nullptr) return HttpResponse();
    return std::get<HttpResponse>(route->handler(request));
  }

  static std::string PathOf(const PageFile& file) {
    return file.name == "index.html" ? "/" : "/page/" + std::string(file.name);
  }

  Router router_;
};

TEST_F(PageRoutesTest, TheRootIsThePage) {
  const HttpResponse response = Get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(response.body.starts_with("<!doctype html>"));
  EXPECT_TRUE(response.body.ends_with("</html>\n"));
  EXPECT_EQ(router_.Find("GET", "/page/index.html"), nullptr) << "one address for one thing";
  EXPECT_EQ(router_.Find("GET", "/page/"), nullptr);
  EXPECT_EQ(router_.Find("GET", "/page/no.js"), nullptr);
}

// Every src and href of the page, and every module that a script imports, is there.
TEST_F(PageRoutesTest, WhatThePageNamesIsServed) {
  const std::vector<std::pair<std::string, std::string>> patterns = {
      {"src=\"page/", "\""}, {"href=\"page/", "\""}, {"from \"./", "\""}};
  std::set<std::string> named = {"/"};
  for (const PageFile& file : PageFiles()) {
    for (const auto& [begin, end] : patterns) {
      for (size_t at = 0; (at = file.body.find(begin, at)) != std::string_view::npos; ++at) {
        const size_t name = at + begin.size();
        const std::string path =
            "/page/" + std::string(file.body.substr(name, file.body.find(end, name) - name));
        EXPECT_NE(router_.Find("GET", path), nullptr) << file.name << " names " << path;
        named.insert(path);
      }
    }
    EXPECT_EQ(file.body.find("://"), file.body.find("://www.w3.org/2000/svg"))
        << file.name << ": nothing comes from elsewhere";
  }
  EXPECT_EQ(named.size(), PageFiles().size()) << "no file that nothing names";
}

TEST_F(PageRoutesTest, TypesFollowTheName) {
  EXPECT_EQ(Get("/page/app.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(Get("/page/base.css").content_type, "text/css; charset=utf-8");
  EXPECT_EQ(Get("/page/icon.svg").content_type, "image/svg+xml");
}

TEST_F(PageRoutesTest, EveryAnswerForbidsWhatThePageDoesNotNeed) {
  for (const PageFile& file : PageFiles()) {
    const HttpResponse response = Get(PathOf(file));
    const std::string policy(response.headers.Get("Content-Security-Policy"));
    EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
    EXPECT_NE(policy.find("require-trusted-types-for 'script'"), std::string::npos);
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(response.headers.Get("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(response.headers.Get("Cache-Control"), "no-cache");
  }
}

TEST_F(PageRoutesTest, AKnownTagSparesTheBody) {
  const HttpResponse whole = Get("/page/app.js");
  const std::string tag(whole.headers.Get("ETag"));
  ASSERT_EQ(tag.size(), 34u);
  EXPECT_NE(tag, Get("/").headers.Get("ETag"));
  const std::vector<std::string> known = {tag, "W/" + tag, "\"other\" ,\t" + tag, "*"};
  for (const std::string& field : known) {
    const HttpResponse response = Get("/page/app.js", field);
    EXPECT_EQ(response.status, 304) << field;
    EXPECT_TRUE(response.body.empty());
    EXPECT_EQ(response.headers.Get("ETag"), tag);
  }
  for (const std::string field : {"\"other\"", "W/\"other\", \"more\"", ",", "\""}) {
    EXPECT_EQ(Get("/page/app.js", field).status, 200) << field;
  }
  EXPECT_EQ(Get("/", tag).status, 200) << "another file's tag";
}

// The gate lets a browser without a key in, by GET and HEAD alone.
TEST_F(PageRoutesTest, ThePageNeedsNoKey) {
  const ManualClock clock;
  const HttpGate gate({.api_keys = {"secret"}, .cors_origins = {}}, router_, clock, {});
  for (const char* method : {"GET", "HEAD"}) {
    for (const PageFile& file : PageFiles()) {
      HttpRequest request;
      request.method = method;
      request.path = PathOf(file);
      const HttpGate::Admitted admitted = gate.Admit(request);
      ASSERT_NE(admitted.route, nullptr) << request.path;
      EXPECT_TRUE(admitted.route->is_quick) << "never behind a long tokenization";
    }
  }
  HttpRequest post;
  post.method = "POST";
  post.path = "/";
  const HttpGate::Admitted refused = gate.Admit(post);
  EXPECT_EQ(refused.refusal.status, 405);
  EXPECT_EQ(refused.refusal.headers.Get("Allow"), "GET, HEAD, OPTIONS");
}

}  // namespace
}  // namespace runahead
