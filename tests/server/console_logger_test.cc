#include "server/console_logger.h"

#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace runahead {
namespace {

TEST(ConsoleLoggerTest, WritesLinesFromItsLevelUpAndNeverFormatsThem) {
  testing::internal::CaptureStderr();
  {
    ConsoleLogger logger(LogLevel::kWarning);
    logger.Log(LogLevel::kInfo, "quiet");
    logger.Log(LogLevel::kError, "braces {} {0} %s stay");
  }
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_EQ(written.find("quiet"), std::string::npos);
  EXPECT_NE(written.find("error braces {} {0} %s stay\n"), std::string::npos) << written;
}

TEST(ConsoleLoggerTest, JsonLinesAreWholeObjectsWhateverTheMessageHolds) {
  testing::internal::CaptureStderr();
  {
    ConsoleLogger logger(LogLevel::kInfo, LogFormat::kJson);
    logger.Log(LogLevel::kWarning, "a \"quote\", a\nline, {} %v and \xff");
  }
  const std::string written = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(written.ends_with("}\n")) << written;
  EXPECT_EQ(written.find('\n'), written.size() - 1) << "one line";
  const auto line = nlohmann::json::parse(written);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "a \"quote\", a\nline, {} %v and \uFFFD");
  EXPECT_EQ(line["time"].get<std::string>().size(), std::string("2026-05-04T03:02:01.000Z").size());
}

TEST(ConsoleLoggerTest, AnEventIsALineForPeopleOrMembersOfAnObject) {
  testing::internal::CaptureStderr();
  {
    ConsoleLogger text(LogLevel::kInfo);
    text.LogEvent(LogLevel::kInfo, "request", "short {} line", R"("a":1)");
    ConsoleLogger json(LogLevel::kInfo, LogFormat::kJson);
    json.LogEvent(LogLevel::kInfo, "request", "short {} line", R"("a":1,"b":"{}%v")");
  }
  const std::string written = testing::internal::GetCapturedStderr();
  const size_t second = written.find('\n') + 1;
  EXPECT_TRUE(written.substr(0, second).ends_with("info short {} line\n")) << written;
  const auto line = nlohmann::json::parse(written.substr(second));
  EXPECT_EQ(line["message"], "request");
  EXPECT_EQ(line["a"], 1);
  EXPECT_EQ(line["b"], "{}%v");
}

}  // namespace
}  // namespace runahead
