// A ServeConfig as the options of the parts it configures. Pure functions.
#pragma once

#include "core/log.h"
#include "server/config.h"
#include "server/console_logger.h"
#include "server/grpc_server.h"
#include "server/http_gate.h"
#include "server/http_server.h"
#include "server/metrics_exporter.h"
#include "server/model_settings.h"
#include "server/request_log.h"

namespace runahead {

ModelSettings MakeModelSettings(const ServeConfig& config);
HttpOptions MakeHttpOptions(const ServeConfig& config);
GateOptions MakeGateOptions(const ServeConfig& config);
RequestLogSettings MakeRequestLogSettings(const ServeConfig& config);
// grpc_port -1 (no gRPC) is for the caller to see; here it is passed on.
GrpcOptions MakeGrpcOptions(const ServeConfig& config);
LogLevel MakeLogLevel(const ServeConfig& config);
LogFormat MakeLogFormat(const ServeConfig& config);
MetricsDialect MakeMetricsDialect(const ServeConfig& config);

}  // namespace runahead
