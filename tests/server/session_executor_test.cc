#include "server/session_executor.h"

#include <string>
#include <thread>

#include "gtest/gtest.h"
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

namespace runahead {
namespace {

namespace asio = boost::asio;

// The sockets' only thread is the test, when it runs the context.
class SessionExecutorTest : public ::testing::Test {
 protected:
  asio::io_context sockets_;
  const asio::any_io_executor strand_ = asio::make_strand(SessionExecutor(sockets_));
  std::string ran_;
};

TEST_F(SessionExecutorTest, WhatMayRunAtOnceRunsOnTheThreadThatAsks) {
  asio::dispatch(strand_, [this] { ran_ += "a"; });
  EXPECT_EQ(ran_, "a") << "no thread runs the sockets";
  std::thread::id ran_on;
  std::thread stream(
      [&] { asio::dispatch(strand_, [&] { ran_on = std::this_thread::get_id(); }); });
  const std::thread::id stream_id = stream.get_id();
  stream.join();
  EXPECT_EQ(ran_on, stream_id);
}

TEST_F(SessionExecutorTest, WhatIsPostedWaitsForTheSockets) {
  std::thread([this] { asio::post(strand_, [this] { ran_ += "a"; }); }).join();
  EXPECT_EQ(ran_, "");
  sockets_.run();
  EXPECT_EQ(ran_, "a");
}

TEST_F(SessionExecutorTest, TheStrandKeepsThreadsApartAndInOrder) {
  asio::dispatch(strand_, [this] {
    // Inside the strand: what another thread brings has to wait, and runs on the sockets' thread.
    std::thread([this] { asio::dispatch(strand_, [this] { ran_ += "b"; }); }).join();
    EXPECT_EQ(ran_, "");
    ran_ += "a";
  });
  EXPECT_EQ(ran_, "a");
  asio::post(strand_, [this] { ran_ += "c"; });
  sockets_.run();
  EXPECT_EQ(ran_, "abc");
}

TEST_F(SessionExecutorTest, IsEqualToItselfAlone) {
  asio::io_context other;
  EXPECT_EQ(SessionExecutor(sockets_), SessionExecutor(sockets_));
  EXPECT_NE(SessionExecutor(sockets_), SessionExecutor(other));
}

}  // namespace
}  // namespace runahead
