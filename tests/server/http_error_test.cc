#include "server/http_error.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(HttpErrorTest, EveryErrorObjectHasAllFourKeys) {
  EXPECT_EQ(ErrorJson(InvalidArgument("bad", "messages[0].role")),
            R"({"error":{"message":"bad","type":"invalid_request_error",)"
            R"("param":"messages[0].role","code":null}})");
  EXPECT_EQ(ErrorJson({StatusCode::kNotFound, "none", "model", "model_not_found"}),
            R"({"error":{"message":"none","type":"invalid_request_error","param":"model",)"
            R"("code":"model_not_found"}})");
  EXPECT_EQ(ErrorJson({StatusCode::kInternal, "\xff"}),
            "{\"error\":{\"message\":\"\xef\xbf\xbd\",\"type\":\"server_error\",\"param\":null,"
            "\"code\":\"internal_error\"}}");
}

TEST(HttpErrorTest, StatusCodesMapToHttp) {
  const std::pair<StatusCode, int> cases[] = {
      {StatusCode::kInvalidArgument, 400},   {StatusCode::kUnauthenticated, 401},
      {StatusCode::kNotFound, 404},          {StatusCode::kPayloadTooLarge, 413},
      {StatusCode::kResourceExhausted, 429}, {StatusCode::kInternal, 500},
      {StatusCode::kUnimplemented, 501},     {StatusCode::kUnavailable, 503},
      {StatusCode::kDeadlineExceeded, 504},  {StatusCode::kCancelled, 499},
  };
  for (const auto& [code, status] : cases) EXPECT_EQ(HttpStatusOf(code), status);
}

TEST(HttpErrorTest, ClientsThatShouldComeBackAreToldWhen) {
  EXPECT_TRUE(ErrorResponse({StatusCode::kResourceExhausted, "x"}).headers.Has("Retry-After"));
  EXPECT_TRUE(ErrorResponse({StatusCode::kUnavailable, "x"}).headers.Has("Retry-After"));
  EXPECT_FALSE(ErrorResponse({StatusCode::kInternal, "x"}).headers.Has("Retry-After"));
}

}  // namespace
}  // namespace runahead
