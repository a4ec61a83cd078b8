// HttpServer: listens, runs the I/O pool, and serves HTTP/1.1 connections. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/log.h"
#include "core/status.h"
#include "server/http_gate.h"
#include "server/http_parser.h"
#include "server/router.h"

namespace runahead {

struct HttpTimeouts {
  std::chrono::milliseconds header = std::chrono::seconds(10);  // from its first byte to its end
  std::chrono::milliseconds body = std::chrono::seconds(60);
  std::chrono::milliseconds idle = std::chrono::seconds(75);   // between requests
  std::chrono::milliseconds write = std::chrono::seconds(60);  // without a byte taken by the peer
  // Without a byte of an answer that is made while it is sent: then its KeepAlive; 0: never.
  std::chrono::milliseconds keep_alive = std::chrono::seconds(15);
  std::chrono::milliseconds linger =
      std::chrono::seconds(2);  // for the peer to close after our last byte
};

struct HttpOptions {
  std::string host = "0.0.0.0";
  int port = 8000;  // 0: any free one
  int num_threads = 2;
  int max_connections = 4096;  // beyond them a connection gets 503 and is closed
  HttpLimits limits;
  HttpTimeouts timeouts;
  std::string tls_cert_file;  // PEM; both or neither
  std::string tls_key_file;
};

class HttpServer {
 public:
  // Binds the port and starts the I/O pool; connections wait in the backlog until Serve. Errors say
  // what could not be bound or read, and what to do.
  static Result<std::unique_ptr<HttpServer>> Listen(const HttpOptions& options);
  // Stops at once.
  ~HttpServer();

  int port() const;

  // Runs `task` soon on one of the pool's threads.
  void Post(std::function<void()> task);

  // Accepts from now on. Both outlive the server or its Stop.
  void Serve(const Router& router, const HttpGate& gate);

  // Every answer closes its connection from now on, and idle connections are closed. New
  // connections are still taken, so that readiness probes get their 503.
  void StartDraining();

  // Stops listening, waits up to `grace` for the answers that are out, closes the rest, ends the
  // pool.
  void Stop(std::chrono::milliseconds grace);

  int num_connections() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runahead
