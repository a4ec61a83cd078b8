#include "core/status.h"

#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TEST(Status, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_TRUE(status.message().empty());
}

TEST(Status, CarriesMessageParamAndReason) {
  const Status status = InvalidArgument("too long", "messages", "context_length_exceeded");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "too long");
  EXPECT_EQ(status.param(), "messages");
  EXPECT_EQ(status.reason(), "context_length_exceeded");
}

TEST(Status, EveryCodeHasItsOwnName) {
  std::set<std::string> names;
  int count = 0;
  for (int code = 0; code <= static_cast<int>(StatusCode::kDeadlineExceeded); ++code, ++count) {
    const std::string name(StatusCodeName(static_cast<StatusCode>(code)));
    EXPECT_NE(name, "UNKNOWN") << code;
    names.insert(name);
  }
  EXPECT_EQ(static_cast<int>(names.size()), count);
  EXPECT_EQ(StatusCodeName(StatusCode::kResourceExhausted), "RESOURCE_EXHAUSTED");
}

TEST(Result, HoldsAValue) {
  Result<int> result = 7;
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, 7);
  EXPECT_TRUE(result.status().ok());
}

TEST(Result, HoldsAStatus) {
  const Result<int> result = InvalidArgument("no");
  EXPECT_FALSE(result);
  EXPECT_EQ(result.status().message(), "no");
}

TEST(Result, MovesAMoveOnlyValueOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(ResultDeathTest, ValueOfAFailureNamesTheCause) {
  const Result<int> result = InvalidArgument("the cause");
  EXPECT_DEATH((void)result.value(), "the cause");
}

TEST(ResultDeathTest, OkStatusIsNoFailure) { EXPECT_DEATH(Result<int>(Status{}), "no value"); }

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  RA_ASSIGN_OR_RETURN(const int half, Half(value));
  RA_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Status CheckQuarter(int value) {
  RA_RETURN_IF_ERROR(Quarter(value).status());
  return {};
}

TEST(Macros, PassValuesOnAndFailuresUp) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_TRUE(CheckQuarter(8).ok());
  EXPECT_EQ(CheckQuarter(2).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace runahead
