// ServeConfig: every setting of `runahead serve`, and the one table that names, checks and
// documents them. Start-up thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/status.h"

namespace runahead {

// Plain values; docs/configuration.md says what each means, and the defaults here are the defaults.
struct ServeConfig {
  // The model.
  std::string model;
  std::string served_model_name;
  std::string load_format = "auto";
  std::string dtype = "auto";
  std::string quantization = "none";
  int quantization_group_size = 128;
  bool quantization_zero_points = false;
  std::vector<std::string> quantization_overrides;
  int max_model_len = 0;

  // Where it computes.
  std::string backend = "auto";
  int cuda_device = 0;
  bool cuda_graphs = true;
  bool cuda_blas = true;
  int threads = 0;
  std::string isa;
  bool pin_threads = false;

  // The KV cache.
  std::string kv_cache_dtype = "auto";
  int64_t kv_cache_bytes = 0;
  int num_kv_blocks = 0;
  int block_size = 16;
  bool enable_prefix_caching = true;

  // Batching.
  int max_num_seqs = 256;
  int max_num_batched_tokens = 2048;
  int max_logit_rows = 512;
  int max_queue = 1024;
  int batch_wait_ms = 0;

  // Speculation.
  std::string draft_model;
  std::string draft_quantization = "same";
  std::vector<std::string> drafters;  // empty: all that are possible
  int max_draft_tokens = 16;
  std::string verification = "coupled";
  std::string speculation_mode = "auto";

  // Listening.
  std::string host = "0.0.0.0";
  int http_port = 8000;
  int grpc_port = 50051;
  int http_threads = 2;
  int max_connections = 4096;
  int64_t max_body_bytes = int64_t{16} << 20;
  int max_header_bytes = 16 << 10;
  int grpc_max_message_bytes = 4 << 20;
  int header_timeout_ms = 10'000;
  int body_timeout_ms = 60'000;
  int idle_timeout_ms = 75'000;
  int write_timeout_ms = 60'000;
  int sse_keep_alive_ms = 15'000;
  bool page = true;

  // Who may use it.
  std::vector<std::string> api_keys;
  std::vector<std::string> api_key_names;
  std::vector<std::string> cors_origins;
  std::string tls_cert_file;
  std::string tls_key_file;

  // Running it.
  int drain_timeout_ms = 30'000;
  int stuck_after_ms = 60'000;
  int default_timeout_ms = 0;
  int64_t seed = -1;
  int compute_nice = 0;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string metrics_compat = "none";
  bool access_log = true;
  int explain = 1024;

  bool operator==(const ServeConfig&) const = default;
};

// One row of the table.
struct Setting {
  using Field = std::variant<std::string ServeConfig::*, int ServeConfig::*, int64_t ServeConfig::*,
                             bool ServeConfig::*, std::vector<std::string> ServeConfig::*>;

  std::string_view section;
  // In JSON, where "a.b" may also stand as {"a": {"b": ..}}; --a-b and RUNAHEAD_A_B elsewhere.
  std::string_view key;
  std::string_view alias;  // another flag, without dashes; may be empty
  Field field;
  std::string_view help;
  std::string_view choices = {};  // words a string, or one of a list, may be, separated by spaces;
                                  // empty: any
  int64_t low = 0;                // range of a number
  int64_t high = INT32_MAX;
};

std::span<const Setting> ServeSettings();
const Setting* FindSetting(std::string_view key);

std::string FlagName(const Setting& setting);         // "--max-num-seqs"
std::string EnvironmentName(const Setting& setting);  // "RUNAHEAD_MAX_NUM_SEQS"
std::string_view TypeName(const Setting& setting);    // "integer"
std::string DefaultText(const Setting& setting);      // as JSON

// Sets what a JSON object holds; `//` comments are allowed. Unknown keys are refused with the
// nearest known one, wrong types and ranges with the key; errors begin with `source` (a file's
// name).
Status ApplyJson(std::string_view json, const std::string& source, ServeConfig& config);
Status ApplyConfigFile(const std::string& path, ServeConfig& config);

// Sets one setting from text, as flags and the environment give it: true/false, numbers, lists
// separated by commas. `source` ("--threads") names it in errors.
Status ApplyText(const Setting& setting, const std::string& text, const std::string& source,
                 ServeConfig& config);

// Sets what the environment holds; `lookup` is getenv.
using EnvironmentLookup = std::function<const char*(const char*)>;
Status ApplyEnvironment(const EnvironmentLookup& lookup, ServeConfig& config);

// What no single setting can check: a model is named, TLS has both files.
Status CheckConfig(const ServeConfig& config);

// The known key nearest to `key`, or nothing when none is near.
std::optional<std::string> NearestKey(std::string_view key);

// docs/configuration.md's table, which a test holds to this.
std::string SettingsMarkdown();

}  // namespace runahead
