// HttpFixture: an HttpServer on a free loopback port, blocking clients, and replies the test makes
// by hand.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_gate.h"
#include "server/http_server.h"
#include "server/router.h"

namespace runahead {

// A plain blocking connection to 127.0.0.1.
class TestClient {
 public:
  explicit TestClient(int port, int receive_buffer_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~TestClient() { Close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  void Send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<size_t>(count);
    }
  }

  // Reads until `end` was received; everything so far, with what followed it. Stops at the end of
  // the stream.
  std::string ReadUntil(const std::string& end) {
    while (received_.find(end) == std::string::npos && ReadMore()) {
    }
    return std::exchange(received_, {});
  }
  // Reads one answer that has a Content-Length; what follows it stays.
  std::string ReadAnswer() {
    while (received_.find("\r\n\r\n") == std::string::npos && ReadMore()) {
    }
    const size_t head = received_.find("\r\n\r\n") + 4;
    const size_t field = received_.find("Content-Length: ");
    const size_t length = field < head ? std::stoul(received_.substr(field + 16)) : 0;
    while (received_.size() < head + length && ReadMore()) {
    }
    const std::string answer = received_.substr(0, head + length);
    received_.erase(0, head + length);
    return answer;
  }
  std::string ReadAll() {
    while (ReadMore()) {
    }
    return std::exchange(received_, {});
  }
  void HalfClose() { ::shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  bool ReadMore() {
    std::string buffer(65536, '\0');
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count <= 0) return false;
    received_.append(buffer, 0, static_cast<size_t>(count));
    return true;
  }

  int fd_ = -1;
  std::string received_;
};

// What the test hands to a reply, and whether the server still wants it.
struct ReplyScript {
  std::mutex mutex;
  std::string bytes;  // not yet sent
  bool finished = false;
  bool is_endless = false;  // always has more
  std::function<void()> ready;
  std::atomic<bool> is_dropped = false;
  std::atomic<int> num_polls = 0;

  void Say(const std::string& more, bool last = false) {
    std::function<void()> wake;
    {
      const std::lock_guard lock(mutex);
      bytes += more;
      finished = last;
      wake = std::exchange(ready, nullptr);
    }
    if (wake) wake();
  }
  void WaitUntilDropped() const { is_dropped.wait(false); }
};

class ScriptedReply final : public PendingReply {
 public:
  explicit ScriptedReply(std::shared_ptr<ReplyScript> script) : script_(std::move(script)) {}
  ~ScriptedReply() override {
    script_->is_dropped = true;
    script_->is_dropped.notify_all();
  }

  ReplyStep Poll() override {
    const std::lock_guard lock(script_->mutex);
    ++script_->num_polls;
    if (script_->is_endless) script_->bytes = std::string(32 << 10, 'x');
    ReplyStep step;
    if (script_->bytes.empty() && !script_->finished) return step;
    if (!std::exchange(started_, true)) {
      step.head.emplace();
      step.head->content_type = "text/event-stream";
      step.is_stream = true;
    }
    step.bytes = std::exchange(script_->bytes, {});
    step.finished = script_->finished;
    return step;
  }
  ReplyStep KeepAlive() override {
    ReplyStep step;
    if (!std::exchange(started_, true)) {
      step.head.emplace();
      step.is_stream = true;
    }
    step.bytes = "alive";
    return step;
  }
  void Arm(std::function<void()> ready) override {
    bool is_ready = false;
    {
      const std::lock_guard lock(script_->mutex);
      is_ready = !script_->bytes.empty() || script_->finished;
      if (!is_ready) script_->ready = ready;
    }
    if (is_ready) ready();
  }

 private:
  std::shared_ptr<ReplyScript> script_;
  bool started_ = false;
};

class HttpFixture : public ::testing::Test {
 protected:
  HttpFixture() {
    options_.host = "127.0.0.1";
    options_.port = 0;
    options_.timeouts.linger = std::chrono::milliseconds(200);
    router_.Add({.method = "GET",
                 .path = "/quick",
                 .handler = [](const HttpRequest&) { return Text("quick"); },
                 .is_quick = true});
    router_.Add({"POST", "/echo", [](const HttpRequest& request) { return Text(request.body); }});
    router_.Add({"GET", "/stream", [this](const HttpRequest&) -> HttpReply {
                   return std::make_unique<ScriptedReply>(script_);
                 }});
    router_.Add(
        {"GET", "/throw", [](const HttpRequest&) -> HttpReply { throw std::runtime_error("oh"); }});
  }

  static HttpReply Text(std::string text) {
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = std::move(text);
    return response;
  }

  void Start() { Start(gate_); }
  void Start(const HttpGate& gate) {
    Result<std::unique_ptr<HttpServer>> server = HttpServer::Listen(options_);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(*server);
    server_->Serve(router_, gate);
  }

  int port() const { return server_->port(); }

  HttpOptions options_;
  SteadyClock clock_;
  Router router_;
  HttpGate gate_{GateOptions(), router_, clock_, nullptr};
  std::shared_ptr<ReplyScript> script_ = std::make_shared<ReplyScript>();
  std::unique_ptr<HttpServer> server_;
};

inline const std::string kGetQuick = "GET /quick HTTP/1.1\r\nHost: h\r\n\r\n";
inline const std::string kGetStream = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace runahead
