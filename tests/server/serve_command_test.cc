// What ends before it serves; serving itself is tested as a process, by tests/system.
#include "server/serve_command.h"

#include <string>

#include "gtest/gtest.h"

#include "core/log.h"
#include "server/http_server.h"

namespace runahead {
namespace {

class ServeCommandTest : public ::testing::Test {
 protected:
  ServeCommandTest() {
    options_.model.directory = "/nonexistent/checkpoint";
    options_.http.host = "127.0.0.1";
    options_.http.port = 0;
    options_.grpc.port = -1;
  }

  ServeOptions options_;
  NullLogger logger_;
};

TEST_F(ServeCommandTest, AMissingModelIsOneLineThatNamesIt) {
  const Status status = RunServeCommand(options_, logger_);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/nonexistent/checkpoint"), std::string::npos);
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
}

TEST_F(ServeCommandTest, ATakenPortIsKnownBeforeAnythingIsLoaded) {
  const auto taken = HttpServer::Listen(options_.http);
  ASSERT_TRUE(taken.ok());
  options_.http.port = (*taken)->port();
  const Status status = RunServeCommand(options_, logger_);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("Address already in use"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace runahead
