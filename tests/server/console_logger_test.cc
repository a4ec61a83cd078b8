#include "server/console_logger.h"

#include <string>

#include "gtest/gtest.h"

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

}  // namespace
}  // namespace runahead
