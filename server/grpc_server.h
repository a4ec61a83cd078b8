// GrpcServer: the runahead.v1 door, with standard health and reflection. Thread-safe once started.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/status.h"
#include "server/generation.h"
#include "server/request_log.h"
#include "server/served_model.h"

namespace runahead {

struct GrpcOptions {
  std::string host = "0.0.0.0";
  int port = 50051;                   // 0: any free one
  std::vector<std::string> api_keys;  // empty: open; health and reflection always are
  std::string tls_cert_file;          // PEM; both or neither
  std::string tls_key_file;
  int max_message_bytes = 4 << 20;
};

class GrpcServer {
 public:
  // Listens and serves. `models` and `log` (null: no records) outlive the server; generations run
  // their pumps through `post`. Errors say what could not be bound or read.
  static Result<std::unique_ptr<GrpcServer>> Start(const GrpcOptions& options,
                                                   ModelRegistry& models, Generation::Post post,
                                                   RequestLog* log = nullptr);
  // Cancels what still runs.
  ~GrpcServer();

  int port() const;

  // Tells those who watch health, and turns new calls and connections away, so that balancers go
  // elsewhere instead of handing a door that says no all that others are too busy for. Running
  // calls go on.
  void StartDraining();

  // Lets running calls finish until `deadline`, then cancels them. Blocks.
  void Shutdown(std::chrono::system_clock::time_point deadline);

 private:
  struct State;
  // What the health service answers for "" and for the service's name.
  void SetServing(bool serving);
  explicit GrpcServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runahead
