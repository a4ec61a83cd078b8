#include <algorithm>
#include <cctype>

#include "nlohmann/json.hpp"

#include "core/speculation.h"
#include "server/config.h"

namespace runahead {
namespace {

using C = ServeConfig;

constexpr std::string_view kModel = "Model";
constexpr std::string_view kCompute = "Compute";
constexpr std::string_view kCache = "KV cache";
constexpr std::string_view kBatching = "Batching";
constexpr std::string_view kSpeculation = "Speculation";
constexpr std::string_view kListening = "Listening";
constexpr std::string_view kAccess = "Access";
constexpr std::string_view kRunning = "Running";

constexpr int64_t kMaxSeed = (int64_t{1} << 53) - 1;  // exact as a JSON number
constexpr int64_t kMaxBytes = int64_t{1} << 50;

constexpr Setting kSettings[] = {
    {kModel, "model", "", &C::model, "checkpoint directory in Hugging Face layout; required"},
    {kModel, "served_model_name", "", &C::served_model_name,
     "name clients use; empty: the directory's name"},
    {kModel, "load_format", "", &C::load_format,
     "auto reads safetensors; dummy makes random weights from config.json alone", "auto dummy"},
    {kModel, "dtype", "", &C::dtype,
     "weights and, on a GPU, activations; auto: as the checkpoint says; f16 on a GPU alone",
     "auto f32 bf16 f16"},
    {kModel, "quantization", "", &C::quantization,
     "round the weights while they load; none: as the checkpoint has them", "none int8 int4"},
    {kModel, "quantization_group_size", "", &C::quantization_group_size,
     "weights of a row that share a scale in int4: 128, 64 or 32", "", 32, 128},
    {kModel, "quantization_zero_points", "", &C::quantization_zero_points,
     "int4 with a zero point for each group: a little more accurate, a little larger"},
    {kModel, "quantization_overrides", "", &C::quantization_overrides,
     "pattern=format for weights by name, such as lm_head=int8 or *.down_proj=none; the last that "
     "matches holds"},
    {kModel, "max_model_len", "", &C::max_model_len,
     "tokens of prompt and answer together; 0: what the checkpoint allows"},

    {kCompute, "backend", "", &C::backend, "auto takes the fastest there is", "auto cuda cpu ref"},
    {kCompute, "cuda_device", "", &C::cuda_device, "which GPU, as CUDA counts them from 0", "", 0,
     1023},
    {kCompute, "cuda_graphs", "", &C::cuda_graphs,
     "launch small steps as captured CUDA graphs, drafts without a wait between passes; the same "
     "answers either way"},
    {kCompute, "cuda_blas", "", &C::cuda_blas,
     "multiply BF16 and F16 layers by cuBLASLt; else by a kernel of ours, slow for prompts"},
    {kCompute, "threads", "", &C::threads, "CPU kernel threads; 0: one per physical core", "", 0,
     4096},
    {kCompute, "isa", "", &C::isa,
     "CPU instruction set to force, such as AVX2; empty: the best present"},
    {kCompute, "pin_threads", "", &C::pin_threads, "bind every CPU kernel thread to one core"},

    {kCache, "kv_cache_dtype", "", &C::kv_cache_dtype,
     "keys and values as stored; auto: as the weights; int8 halves bf16's bytes",
     "auto f32 bf16 f16 int8"},
    {kCache, "kv_cache_bytes", "", &C::kv_cache_bytes,
     "memory for keys and values; 0: 65536 tokens, or four full sequences if that is more", "", 0,
     kMaxBytes},
    {kCache, "num_kv_blocks", "", &C::num_kv_blocks,
     "the same as a number of blocks; 0: as kv_cache_bytes says"},
    {kCache, "block_size", "", &C::block_size, "tokens of one block", "", 1, 1024},
    {kCache, "enable_prefix_caching", "", &C::enable_prefix_caching,
     "reuse the blocks of a prompt's beginning that was computed before"},

    {kBatching, "max_num_seqs", "", &C::max_num_seqs, "sequences running at once", "", 1, 65536},
    {kBatching, "max_num_batched_tokens", "", &C::max_num_batched_tokens,
     "tokens of one step, prompt chunks and decodes together", "", 1, 1 << 20},
    {kBatching, "max_logit_rows", "", &C::max_logit_rows,
     "rows of logits of one step; more are computed in slices", "", 1, 1 << 20},
    {kBatching, "max_queue", "", &C::max_queue, "waiting requests before new ones get 429", "", 1,
     1 << 20},
    {kBatching, "batch_wait_ms", "", &C::batch_wait_ms,
     "how long a step may wait for a fuller batch when nothing runs", "", 0, 10'000},

    {kSpeculation, "speculative.draft_model", "draft-model", &C::draft_model,
     "checkpoint directory of a smaller model with the same vocabulary; empty: none"},
    {kSpeculation, "speculative.draft_quantization", "draft-quantization", &C::draft_quantization,
     "of the draft model; same: as the model's quantization, without its overrides",
     "same none int8 int4"},
    {kSpeculation, "speculative.drafters", "drafters", &C::drafters,
     "who may draft; empty: the draft model where there is one, ngram and prediction; self is an "
     "INT4 copy of the model itself",
     "model self ngram prediction none"},
    {kSpeculation, "speculative.max_tokens", "draft-tokens", &C::max_draft_tokens,
     "most drafts of one sequence in a step; the server chooses how many up to this", "", 0,
     kMaxDrafts},
    {kSpeculation, "speculative.verification", "verification", &C::verification,
     "coupled: the output is that without speculation; rejection: the same distribution",
     "coupled rejection"},
    {kSpeculation, "speculative.mode", "speculation", &C::speculation_mode,
     "for requests that do not say: auto drafts where it pays, off never", "auto off"},

    {kListening, "host", "", &C::host, "address both doors listen on"},
    {kListening, "http_port", "port", &C::http_port, "0 picks a free one", "", 0, 65535},
    {kListening, "grpc_port", "", &C::grpc_port, "0 picks a free one; -1: no gRPC", "", -1, 65535},
    {kListening, "http_threads", "", &C::http_threads,
     "threads of the I/O pool: half serve sockets, the others what streams send; one of each at "
     "least",
     "", 1, 1024},
    {kListening, "max_connections", "", &C::max_connections,
     "HTTP connections at once; beyond them 503", "", 1, 1 << 20},
    {kListening, "max_body_bytes", "", &C::max_body_bytes, "largest HTTP request body", "", 1024,
     int64_t{1} << 32},
    {kListening, "max_header_bytes", "", &C::max_header_bytes, "largest HTTP request head", "",
     1024, 1 << 20},
    {kListening, "grpc_max_message_bytes", "", &C::grpc_max_message_bytes, "largest gRPC request",
     "", 1024, INT32_MAX},
    {kListening, "header_timeout_ms", "", &C::header_timeout_ms,
     "from the first byte of a request's head to its end", "", 1, 86'400'000},
    {kListening, "body_timeout_ms", "", &C::body_timeout_ms, "for a request's body to arrive", "",
     1, 86'400'000},
    {kListening, "idle_timeout_ms", "", &C::idle_timeout_ms, "between requests of one connection",
     "", 1, 86'400'000},
    {kListening, "write_timeout_ms", "", &C::write_timeout_ms,
     "without the client taking a byte of its answer", "", 1, 86'400'000},
    {kListening, "sse_keep_alive_ms", "", &C::sse_keep_alive_ms,
     "of a stream's silence, while it waits or reads a long prompt, until the client gets a "
     "comment; "
     "0: never",
     "", 0, 86'400'000},
    {kListening, "page", "", &C::page,
     "a page at / for people with a browser: a chat, and the server's own metrics"},

    {kAccess, "api_keys", "api-key", &C::api_keys,
     "keys clients must send; none: open to everyone"},
    {kAccess, "api_key_names", "", &C::api_key_names,
     "what the log calls the keys, in their order; the others are key1, key2, .."},
    {kAccess, "cors_origins", "cors-origin", &C::cors_origins,
     "origins browsers may call from; * for all; none: no CORS"},
    {kAccess, "tls_cert_file", "tls-cert", &C::tls_cert_file,
     "PEM certificate chain; with tls_key_file"},
    {kAccess, "tls_key_file", "tls-key", &C::tls_key_file, "PEM private key; with tls_cert_file"},

    {kRunning, "drain_timeout_ms", "", &C::drain_timeout_ms,
     "time running requests have to finish after SIGTERM", "", 0, 86'400'000},
    {kRunning, "stuck_after_ms", "", &C::stuck_after_ms,
     "a step that takes longer turns /health red", "", 1, 86'400'000},
    {kRunning, "default_timeout_ms", "", &C::default_timeout_ms,
     "time a request has that brings no deadline of its own; 0: as long as it takes", "", 0,
     86'400'000},
    {kRunning, "seed", "", &C::seed,
     "makes the seeds repeatable that requests without one draw in the order they come; -1: from "
     "the "
     "system's entropy",
     "", -1, kMaxSeed},
    {kRunning, "compute_nice", "", &C::compute_nice,
     "how far the computing threads give way to everything else, the server's own I/O included", "",
     0, 19},
    {kRunning, "log_level", "", &C::log_level, "the least serious level that is logged",
     "debug info warning error"},
    {kRunning, "log_format", "", &C::log_format, "lines for people or JSON objects for machines",
     "text json"},
    {kRunning, "metrics_compat", "", &C::metrics_compat,
     "whose names /metrics has beside its own: vllm for dashboards and gateways that know vLLM's",
     "none vllm"},
    {kRunning, "access_log", "", &C::access_log,
     "a line for each request, but for health checks and scrapes, once it has been answered"},
    {kRunning, "explain", "", &C::explain,
     "recent requests that /v1/requests/{id}/explain remembers, at most 6 KiB each; 0: there is no "
     "such route",
     "", 0, 1 << 20},
};

std::string WithDashes(std::string_view key) {
  std::string name(key);
  std::ranges::replace(name, '_', '-');
  std::ranges::replace(name, '.', '-');
  return name;
}

// Number of single-character insertions, deletions and replacements between two words (Levenshtein
// 1966).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Setting> ServeSettings() { return kSettings; }

const Setting* FindSetting(std::string_view key) {
  const auto found = std::ranges::find(kSettings, key, &Setting::key);
  return found == std::end(kSettings) ? nullptr : found;
}

std::string FlagName(const Setting& setting) { return "--" + WithDashes(setting.key); }

std::string EnvironmentName(const Setting& setting) {
  std::string name = "RUNAHEAD_";
  for (const char c : setting.key) {
    name.push_back(c == '.' ? '_' : static_cast<char>(std::toupper(c)));
  }
  return name;
}

std::string_view TypeName(const Setting& setting) {
  constexpr std::string_view kNames[] = {"string", "integer", "integer", "boolean",
                                         "list of strings"};
  return kNames[setting.field.index()];
}

std::string DefaultText(const Setting& setting) {
  const ServeConfig defaults;
  return std::visit([&](auto field) { return nlohmann::json(defaults.*field).dump(); },
                    setting.field);
}

std::optional<std::string> NearestKey(std::string_view key) {
  constexpr size_t kLongestKey =
      64;  // nothing longer resembles a key, and distances cost its square
  if (key.size() > kLongestKey) return std::nullopt;
  std::string wanted(key);
  std::ranges::replace(wanted, '-', '_');
  std::ranges::transform(wanted, wanted.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const Setting* nearest = nullptr;
  size_t least = 0;
  for (const Setting& setting : kSettings) {
    size_t distance = EditDistance(wanted, setting.key);
    if (!setting.alias.empty()) {
      std::string alias(setting.alias);
      std::ranges::replace(alias, '-', '_');
      distance = std::min(distance, EditDistance(wanted, alias));
    }
    if (nearest == nullptr || distance < least) {
      nearest = &setting;
      least = distance;
    }
  }
  // A third of the letters wrong still names it; more is another word.
  if (least * 3 > std::max(wanted.size(), nearest->key.size())) return std::nullopt;
  return std::string(nearest->key);
}

std::string SettingsMarkdown() {
  std::string out;
  std::string_view section;
  for (const Setting& setting : kSettings) {
    if (setting.section != section) {
      section = setting.section;
      out += "\n### " + std::string(section) +
             "\n\n| key | flag | type | default | meaning |\n|---|---|---|---|---|\n";
    }
    std::string flag = "`" + FlagName(setting) + "`";
    if (!setting.alias.empty()) flag += ", `--" + std::string(setting.alias) + "`";
    std::string type(TypeName(setting));
    if (!setting.choices.empty()) {
      type = std::string(setting.choices);
      for (size_t at = 0; (at = type.find(' ', at)) != std::string::npos; at += 2)
        type.replace(at, 1, ", ");
      if (TypeName(setting).starts_with("list")) type = "list of " + type;
    }
    out += "| `" + std::string(setting.key) + "` | " + flag + " | " + type + " | `" +
           DefaultText(setting) + "` | " + std::string(setting.help) + " |\n";
  }
  return out;
}

}  // namespace runahead
