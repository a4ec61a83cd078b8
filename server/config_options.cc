#include "server/config_options.h"

#include <algorithm>
#include <chrono>

namespace runahead {

using std::chrono::milliseconds;

namespace {

SpeculationSettings MakeSpeculationSettings(const ServeConfig& config) {
  SpeculationSettings settings;
  settings.draft_directory = config.draft_model;
  settings.draft_quantization = config.draft_quantization;
  settings.max_drafts = config.max_draft_tokens;
  settings.verification =
      config.verification == "rejection" ? VerifyMode::kRejection : VerifyMode::kCoupled;
  settings.mode = config.speculation_mode == "off" ? SpeculationMode::kOff : SpeculationMode::kAuto;
  if (config.drafters.empty()) return settings;
  settings.drafters.emplace();  // "none" adds nobody
  for (const DrafterKind kind :
       {DrafterKind::kModel, DrafterKind::kSelf, DrafterKind::kNgram, DrafterKind::kPrediction}) {
    const bool is_named =
        std::ranges::find(config.drafters, DrafterName(kind)) != config.drafters.end();
    if (is_named) settings.drafters->push_back(kind);
  }
  return settings;
}

}  // namespace

ModelSettings MakeModelSettings(const ServeConfig& config) {
  ModelSettings settings;
  settings.directory = config.model;
  settings.served_name = config.served_model_name;
  settings.backend = config.backend;
  settings.backend_options.num_threads = config.threads;
  settings.backend_options.isa = config.isa;
  settings.backend_options.pin_threads = config.pin_threads;
  settings.backend_options.cuda_device = config.cuda_device;
  settings.backend_options.cuda_graphs = config.cuda_graphs;
  settings.backend_options.cuda_blas = config.cuda_blas;
  settings.load_format = config.load_format == "dummy" ? LoadFormat::kDummy : LoadFormat::kAuto;
  settings.dtype = config.dtype;
  settings.quantization = {.format = config.quantization,
                           .group_size = config.quantization_group_size,
                           .has_zero_points = config.quantization_zero_points,
                           .overrides = config.quantization_overrides};
  settings.kv_cache_dtype = config.kv_cache_dtype;
  settings.max_model_len = config.max_model_len;
  settings.block_size = config.block_size;
  settings.kv_cache_bytes = config.kv_cache_bytes;
  settings.num_kv_blocks = config.num_kv_blocks;
  settings.max_num_seqs = config.max_num_seqs;
  settings.max_num_batched_tokens = config.max_num_batched_tokens;
  settings.max_logit_rows = config.max_logit_rows;
  settings.max_queue = config.max_queue;
  settings.batch_wait = milliseconds(config.batch_wait_ms);
  settings.enable_prefix_caching = config.enable_prefix_caching;
  settings.stuck_after = milliseconds(config.stuck_after_ms);
  settings.default_timeout = milliseconds(config.default_timeout_ms);
  if (config.seed >= 0) settings.seed = static_cast<uint64_t>(config.seed);
  settings.speculation = MakeSpeculationSettings(config);
  return settings;
}

HttpOptions MakeHttpOptions(const ServeConfig& config) {
  HttpOptions options;
  options.host = config.host;
  options.port = config.http_port;
  options.num_threads = config.http_threads;
  options.max_connections = config.max_connections;
  options.limits.max_header_bytes = static_cast<size_t>(config.max_header_bytes);
  options.limits.max_body_bytes = static_cast<size_t>(config.max_body_bytes);
  options.timeouts.header = milliseconds(config.header_timeout_ms);
  options.timeouts.body = milliseconds(config.body_timeout_ms);
  options.timeouts.idle = milliseconds(config.idle_timeout_ms);
  options.timeouts.write = milliseconds(config.write_timeout_ms);
  options.timeouts.keep_alive = milliseconds(config.sse_keep_alive_ms);
  options.tls_cert_file = config.tls_cert_file;
  options.tls_key_file = config.tls_key_file;
  return options;
}

GateOptions MakeGateOptions(const ServeConfig& config) {
  return {.api_keys = config.api_keys, .cors_origins = config.cors_origins};
}

RequestLogSettings MakeRequestLogSettings(const ServeConfig& config) {
  return {.max_kept = config.explain,
          .has_access_log = config.access_log,
          .key_names = config.api_key_names};
}

GrpcOptions MakeGrpcOptions(const ServeConfig& config) {
  GrpcOptions options;
  options.host = config.host;
  options.port = config.grpc_port;
  options.api_keys = config.api_keys;
  options.tls_cert_file = config.tls_cert_file;
  options.tls_key_file = config.tls_key_file;
  options.max_message_bytes = config.grpc_max_message_bytes;
  return options;
}

LogLevel MakeLogLevel(const ServeConfig& config) {
  if (config.log_level == "debug") return LogLevel::kDebug;
  if (config.log_level == "warning") return LogLevel::kWarning;
  if (config.log_level == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

LogFormat MakeLogFormat(const ServeConfig& config) {
  return config.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
}

MetricsDialect MakeMetricsDialect(const ServeConfig& config) {
  return config.metrics_compat == "vllm" ? MetricsDialect::kVllm : MetricsDialect::kNative;
}

}  // namespace runahead
