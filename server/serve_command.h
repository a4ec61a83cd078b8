// `runahead serve`: one model behind HTTP and gRPC, until a signal. Main thread only.
#pragma once

#include <chrono>

#include "core/log.h"
#include "core/status.h"
#include "server/grpc_server.h"
#include "server/http_gate.h"
#include "server/http_server.h"
#include "server/metrics_exporter.h"
#include "server/model_settings.h"
#include "server/request_log.h"

namespace runahead {

struct ServeOptions {
  ModelSettings model;
  HttpOptions http;
  GateOptions gate;
  RequestLogSettings log;
  GrpcOptions grpc;  // port -1: no gRPC
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(30);
  bool serves_page = true;  // at /
  int compute_nice = 0;     // of the engine's and the kernel pool's threads
  MetricsDialect metrics = MetricsDialect::kNative;
};

// Serves until SIGTERM or SIGINT, then drains. Ok after a clean end; else one line with cause and
// fix.
Status RunServeCommand(const ServeOptions& options, Logger& logger);

}  // namespace runahead
