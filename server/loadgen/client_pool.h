// ClientPool: connections to one server, kept for the next request where the server keeps them. I/O
// thread only. Internal to server/loadgen.
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "core/clock.h"
#include "core/status.h"
#include "server/loadgen/client_connection.h"
#include "server/loadgen/client_options.h"
#include "server/loadgen/reply_sink.h"

namespace runahead {

class ClientPool {
 public:
  // Resolves the host.
  static Result<std::unique_ptr<ClientPool>> Make(const ClientOptions& options);

  boost::asio::io_context& io() { return io_; }
  std::string MakeRequest(const std::string& method, const std::string& path,
                          const std::string& body) const;

  // Sends a request and feeds the sink until it has finished. A server may close a kept connection
  // at any moment: a request that meets that before a byte of an answer goes out again, on a new
  // one.
  boost::asio::awaitable<void> Ask(const std::string& request, ReplySink& sink);

  void StartClock() { start_ = std::chrono::steady_clock::now(); }
  TimePoint start() const { return start_; }
  double Now() const { return Seconds(std::chrono::steady_clock::now() - start_); }

  // Ends whatever is out, and refuses what comes, with errors. For good.
  void CloseAll();
  int num_connections() const { return num_connections_; }  // opened so far

 private:
  class Deadline;
  using Connection = std::unique_ptr<ClientConnection>;

  explicit ClientPool(const ClientOptions& options);
  Connection TakeIdle();
  // False: the connection, a kept one, was gone before a byte of an answer.
  boost::asio::awaitable<bool> Exchange(ClientConnection& connection, bool is_kept,
                                        const std::string& request, const Deadline& deadline,
                                        ReplySink& sink);

  ClientOptions options_;
  std::string headers_;  // of every request, up to the number of its Content-Length
  std::unique_ptr<boost::asio::ssl::context> tls_;  // null: plain
  boost::asio::io_context io_{1};
  ClientConnection::Tcp::resolver::results_type endpoints_;
  std::vector<Connection> idle_;
  std::set<ClientConnection*> in_use_;  // borrowed from Ask
  TimePoint start_ = {};
  int num_connections_ = 0;
  bool is_closed_ = false;
};

}  // namespace runahead
