#include "server/config_options.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;

// Two sets of defaults would drift apart; the parts' own are what their tests run with.
TEST(ConfigOptions, DefaultsAreThePartsOwn) {
  const ServeConfig config;
  const ModelSettings model = MakeModelSettings(config);
  const ModelSettings model_default;
  EXPECT_EQ(model.backend, model_default.backend);
  EXPECT_EQ(model.backend_options.num_threads, model_default.backend_options.num_threads);
  EXPECT_EQ(model.load_format, model_default.load_format);
  EXPECT_EQ(model.dtype, model_default.dtype);
  EXPECT_EQ(model.kv_cache_dtype, model_default.kv_cache_dtype);
  EXPECT_EQ(model.max_model_len, model_default.max_model_len);
  EXPECT_EQ(model.block_size, model_default.block_size);
  EXPECT_EQ(model.kv_cache_bytes, model_default.kv_cache_bytes);
  EXPECT_EQ(model.num_kv_blocks, model_default.num_kv_blocks);
  EXPECT_EQ(model.max_num_seqs, model_default.max_num_seqs);
  EXPECT_EQ(model.max_num_batched_tokens, model_default.max_num_batched_tokens);
  EXPECT_EQ(model.max_logit_rows, model_default.max_logit_rows);
  EXPECT_EQ(model.max_queue, model_default.max_queue);
  EXPECT_EQ(model.batch_wait, model_default.batch_wait);
  EXPECT_EQ(model.enable_prefix_caching, model_default.enable_prefix_caching);
  EXPECT_EQ(model.stuck_after, model_default.stuck_after);
  EXPECT_EQ(model.default_timeout, model_default.default_timeout);
  EXPECT_EQ(model.seed, model_default.seed);
  EXPECT_EQ(model.speculation.draft_directory, model_default.speculation.draft_directory);
  EXPECT_EQ(model.speculation.drafters, model_default.speculation.drafters);
  EXPECT_EQ(model.speculation.max_drafts, model_default.speculation.max_drafts);
  EXPECT_EQ(model.speculation.verification, model_default.speculation.verification);
  EXPECT_EQ(model.speculation.mode, model_default.speculation.mode);
  const HttpOptions http = MakeHttpOptions(config);
  const HttpOptions http_default;
  EXPECT_EQ(http.host, http_default.host);
  EXPECT_EQ(http.port, http_default.port);
  EXPECT_EQ(http.num_threads, http_default.num_threads);
  EXPECT_EQ(http.max_connections, http_default.max_connections);
  EXPECT_EQ(http.limits.max_header_bytes, http_default.limits.max_header_bytes);
  EXPECT_EQ(http.limits.max_body_bytes, http_default.limits.max_body_bytes);
  EXPECT_EQ(http.timeouts.header, http_default.timeouts.header);
  EXPECT_EQ(http.timeouts.body, http_default.timeouts.body);
  EXPECT_EQ(http.timeouts.idle, http_default.timeouts.idle);
  EXPECT_EQ(http.timeouts.write, http_default.timeouts.write);
  EXPECT_EQ(http.timeouts.keep_alive, http_default.timeouts.keep_alive);
  const GrpcOptions grpc = MakeGrpcOptions(config);
  const GrpcOptions grpc_default;
  EXPECT_EQ(grpc.host, grpc_default.host);
  EXPECT_EQ(grpc.port, grpc_default.port);
  EXPECT_EQ(grpc.max_message_bytes, grpc_default.max_message_bytes);
  const RequestLogSettings log = MakeRequestLogSettings(config);
  const RequestLogSettings log_default;
  EXPECT_EQ(log.max_kept, log_default.max_kept);
  EXPECT_EQ(log.has_access_log, log_default.has_access_log);
  EXPECT_EQ(log.key_names, log_default.key_names);
  EXPECT_EQ(MakeLogLevel(config), LogLevel::kInfo);
  EXPECT_EQ(MakeLogFormat(config), LogFormat::kText);
  EXPECT_EQ(MakeMetricsDialect(config), MetricsDialect::kNative);
}

TEST(ConfigOptions, SpeculationArrives) {
  ServeConfig config;
  const Status status = ApplyJson(R"({"speculative": {
    "draft_model": "small", "drafters": ["ngram", "model"], "max_tokens": 5,
    "verification": "rejection", "mode": "off"}})",
                                  "test", config);
  ASSERT_TRUE(status.ok()) << status.message();
  const SpeculationSettings settings = MakeModelSettings(config).speculation;
  EXPECT_EQ(settings.draft_directory, "small");
  EXPECT_THAT(settings.Drafters(),
              testing::UnorderedElementsAre(DrafterKind::kModel, DrafterKind::kNgram));
  EXPECT_EQ(settings.max_drafts, 5);
  EXPECT_EQ(settings.verification, VerifyMode::kRejection);
  EXPECT_EQ(settings.mode, SpeculationMode::kOff);
}

TEST(ConfigOptions, WhoMayDraftFollowsWhatThereIs) {
  ServeConfig config;
  const auto drafters = [&] { return MakeModelSettings(config).speculation.Drafters(); };
  EXPECT_THAT(drafters(),
              testing::UnorderedElementsAre(DrafterKind::kNgram, DrafterKind::kPrediction));
  config.draft_model = "small";
  EXPECT_EQ(drafters().size(), 3u);
  config.drafters = {"ngram"};
  EXPECT_THAT(drafters(), testing::ElementsAre(DrafterKind::kNgram));
  config.drafters = {"none"};
  EXPECT_TRUE(drafters().empty());
}

TEST(ConfigOptions, EverySettingArrives) {
  ServeConfig config;
  const Status status = ApplyJson(R"({
    "model": "dir", "served_model_name": "name", "load_format": "dummy", "dtype": "f32",
    "max_model_len": 11, "backend": "ref", "threads": 2, "isa": "SSE4", "pin_threads": true,
    "kv_cache_dtype": "bf16", "kv_cache_bytes": 12, "block_size": 8, "enable_prefix_caching": false,
    "max_num_seqs": 13, "max_num_batched_tokens": 14, "max_logit_rows": 15, "max_queue": 16,
    "batch_wait_ms": 17, "host": "::1", "http_port": 18, "grpc_port": 19, "http_threads": 20,
    "max_connections": 21, "max_body_bytes": 2222, "max_header_bytes": 2323,
    "grpc_max_message_bytes": 2424, "header_timeout_ms": 25, "body_timeout_ms": 26,
    "idle_timeout_ms": 27, "write_timeout_ms": 28, "api_keys": ["k"], "cors_origins": ["*"],
    "tls_cert_file": "c", "tls_key_file": "t", "stuck_after_ms": 29, "log_level": "error",
    "num_kv_blocks": 30, "sse_keep_alive_ms": 31, "default_timeout_ms": 32, "seed": 0,
    "log_format": "json", "metrics_compat": "vllm", "access_log": false, "explain": 33,
    "api_key_names": ["alice"]})",
                                  "test", config);
  ASSERT_TRUE(status.ok()) << status.message();
  const ModelSettings model = MakeModelSettings(config);
  EXPECT_EQ(model.directory + "/" + model.served_name, "dir/name");
  EXPECT_EQ(model.load_format, LoadFormat::kDummy);
  EXPECT_EQ(model.dtype + model.kv_cache_dtype + model.backend, "f32bf16ref");
  EXPECT_EQ(model.backend_options.num_threads, 2);
  EXPECT_EQ(model.backend_options.isa, "SSE4");
  EXPECT_TRUE(model.backend_options.pin_threads);
  EXPECT_FALSE(model.enable_prefix_caching);
  EXPECT_THAT((std::vector<int64_t>{model.max_model_len, model.kv_cache_bytes, model.block_size,
                                    model.max_num_seqs, model.max_num_batched_tokens,
                                    model.max_logit_rows, model.max_queue}),
              testing::ElementsAre(11, 12, 8, 13, 14, 15, 16));
  EXPECT_EQ(model.batch_wait, milliseconds(17));
  EXPECT_EQ(model.stuck_after, milliseconds(29));
  const HttpOptions http = MakeHttpOptions(config);
  EXPECT_EQ(http.host + http.tls_cert_file + http.tls_key_file, "::1ct");
  EXPECT_THAT(
      (std::vector<size_t>{static_cast<size_t>(http.port), static_cast<size_t>(http.num_threads),
                           static_cast<size_t>(http.max_connections), http.limits.max_body_bytes,
                           http.limits.max_header_bytes}),
      testing::ElementsAre(18, 20, 21, 2222, 2323));
  EXPECT_EQ(http.timeouts.header, milliseconds(25));
  EXPECT_EQ(http.timeouts.body, milliseconds(26));
  EXPECT_EQ(http.timeouts.idle, milliseconds(27));
  EXPECT_EQ(http.timeouts.write, milliseconds(28));
  EXPECT_EQ(http.timeouts.keep_alive, milliseconds(31));
  const RequestLogSettings log = MakeRequestLogSettings(config);
  EXPECT_EQ(log.max_kept, 33);
  EXPECT_FALSE(log.has_access_log);
  EXPECT_THAT(log.key_names, testing::ElementsAre("alice"));
  EXPECT_EQ(MakeGateOptions(config).api_keys.at(0) + MakeGateOptions(config).cors_origins.at(0),
            "k*");
  const GrpcOptions grpc = MakeGrpcOptions(config);
  EXPECT_EQ(grpc.host + grpc.tls_cert_file + grpc.tls_key_file + grpc.api_keys.at(0), "::1ctk");
  EXPECT_EQ(grpc.port, 19);
  EXPECT_EQ(grpc.max_message_bytes, 2424);
  EXPECT_EQ(MakeLogLevel(config), LogLevel::kError);
  EXPECT_EQ(MakeLogFormat(config), LogFormat::kJson);
  EXPECT_EQ(MakeMetricsDialect(config), MetricsDialect::kVllm);
  EXPECT_EQ(MakeModelSettings(config).num_kv_blocks, 30);
  EXPECT_EQ(MakeModelSettings(config).default_timeout, milliseconds(32));
  EXPECT_EQ(MakeModelSettings(config).seed, uint64_t{0}) << "0 is a seed";
}

}  // namespace
}  // namespace runahead
