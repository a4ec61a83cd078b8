#include "server/explain_api.h"

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "record_fixture.h"

namespace runahead {
namespace {

class ExplainApiTest : public RecordFixture {
 protected:
  HttpResponse Ask(const std::string& path, int key = -1) {
    HttpRequest request;
    request.path = path;
    request.key = key;
    return std::get<HttpResponse>(Explain(log_, clock_, request));
  }
};

TEST_F(ExplainApiTest, BothIdsAreAnsweredToTheKeyThatAsked) {
  const auto record = Begin("r1", 0);
  log_.Keep(record);
  Arrive(*record);
  for (const char* path : {"/v1/requests/r1/explain", "/v1/requests/chatcmpl-r1/explain"}) {
    const HttpResponse answer = Ask(path, 0);
    EXPECT_EQ(answer.status, 200);
    const auto told = nlohmann::json::parse(answer.body);
    EXPECT_EQ(told["request_id"], "r1");
    EXPECT_EQ(told["api_key"], "key1");
    EXPECT_EQ(Ask(path, 1).status, 404);
    EXPECT_EQ(Ask(path, -1).status, 404);
  }
}

TEST_F(ExplainApiTest, AnIdMayHoldSlashes) {
  const auto record = Begin("a/b/explain");
  log_.Keep(record);
  EXPECT_EQ(Ask("/v1/requests/a/b/explain/explain").status, 200);
}

TEST_F(ExplainApiTest, WhatIsNoRequestIsNotFound) {
  const std::string kPrefix = "/v1/requests/";
  const std::string bad[] = {"",
                             "explain",
                             "/explain",
                             "x",
                             "x/",
                             "x/other",
                             "x/explai",
                             "../../etc/passwd",
                             "../../etc/passwd/explain",
                             std::string("a\0b", 3) + "/explain",
                             "\xff\xfe/explain",
                             std::string(1 << 20, 'x') + "/explain"};
  for (const std::string& each : bad) {
    const HttpResponse answer = Ask(kPrefix + each);
    EXPECT_EQ(answer.status, 404);
    EXPECT_LT(answer.body.size(), 400u) << "no echo of what was asked";
    EXPECT_FALSE(nlohmann::json::parse(answer.body)["error"]["message"].empty());
  }
}

}  // namespace
}  // namespace runahead
