// HttpSession: one connection from its first byte to its last. Its strand only. Internal to
// server/http_*.cc.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include "server/http_gate.h"
#include "server/http_message.h"
#include "server/http_parser.h"
#include "server/http_server.h"
#include "server/http_transport.h"

namespace runahead {

// What all sessions of a server share. It outlives them.
struct SessionContext {
  const HttpOptions* options = nullptr;
  const Router* router = nullptr;
  const HttpGate* gate = nullptr;
  boost::asio::thread_pool* workers = nullptr;  // for handlers that may take long
  std::atomic<bool> is_draining = false;
};

// A read is always out while the session has room for bytes, so a peer that goes away is noticed
// while its answer is still being made; bytes of a next request wait in `in_`. A peer that closes
// its sending side counts as gone, as with most servers: nobody else can tell it from one that
// closed altogether.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  using Strand = boost::asio::any_io_executor;

  // `client`: the peer's address and port, for records.
  HttpSession(Strand strand, std::unique_ptr<Transport> transport, const SessionContext& context,
              std::string client);

  // Runs until the connection ends, then calls `done` on the strand.
  void Start(std::function<void()> done);

  // Any thread: closes the connection, at once or as soon as no answer is out. One that has had no
  // answer yet is idle only with `though_new`: its first request may be under way.
  void Close();
  void CloseWhenIdle(bool though_new);

 private:
  using Task = boost::asio::awaitable<void>;
  template <typename T>
  using Async = boost::asio::awaitable<T>;

  Task Run();
  Task Converse();                                // all requests of the connection
  Async<bool> ReadRequest(HttpRequest& request);  // false: no more requests
  Async<bool> FinishRead(HttpParser::Progress progress, HttpRequest& request);
  Async<bool> Answer(HttpRequest request);  // false: the connection is to be closed
  Async<std::optional<HttpReply>> RunHandler(const Route& route, const HttpRequest& request);
  Async<bool> SendResponse(const HttpRequest& request, HttpResponse response, bool keep_alive);
  Async<bool> SendPending(const HttpRequest& request, PendingReply& reply);
  std::string Frame(const HttpRequest& request, ReplyStep step);
  Async<bool> WaitReady(const HttpRequest& request, PendingReply& reply);
  Async<bool> Write(std::string bytes);
  Task Linger();

  // Suspends until Notify: a byte, a finished write, an expired deadline, a ready reply.
  Task Wait();
  // Goes on where Wait suspended, before it returns; so nothing may follow it. What nobody waits
  // for is found by whoever looks before the next Wait.
  void Notify() {
    if (waiter_) std::exchange(waiter_, nullptr)();
  }
  // Lets others run first.
  Task Yield();
  void StartRead();
  void SetDeadline(std::chrono::milliseconds after);
  void ClearDeadline();
  void WatchSilence();
  bool KeepsAlive(const HttpRequest& request) const;

  // The record of the request at hand, until its answer has ended.
  HttpGate::Admitted Admit(HttpRequest& request);
  void EndRecord(bool was_delivered);

  Strand strand_;
  std::unique_ptr<Transport> transport_;
  const SessionContext& context_;
  const std::string client_;
  std::shared_ptr<RequestRecord> record_;             // of the request at hand; may be null
  std::chrono::steady_clock::time_point first_byte_;  // of the request at hand
  HttpParser parser_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer silence_;

  std::array<char, 16384> read_buffer_;
  std::string in_;                  // received, not yet parsed
  std::function<void()> waiter_;    // of the one Wait that is out
  size_t num_unyielded_bytes_ = 0;  // written since the session last let others run
  bool is_reading_ = false;
  bool is_gone_ = false;  // the peer closed, or the connection broke
  bool is_writing_ = false;
  bool has_deadline_ = false;
  bool has_timed_out_ = false;
  bool is_ready_ = false;  // the pending reply has something to say
  bool closes_when_idle_ = false;
  bool is_new_ = true;      // no request has been answered, and it may stay until one is
  bool is_silent_ = false;  // nothing was sent for as long as keep_alive says
  std::chrono::steady_clock::time_point last_write_;
  boost::system::error_code write_error_;
  size_t num_written_ = 0;
  uint64_t deadline_generation_ = 0;  // tells a deadline that was replaced from the current one
  std::optional<HttpGate::Admitted> admitted_;  // of the request whose header has been read
  std::optional<HttpReply> reply_;              // from a worker
};

}  // namespace runahead
