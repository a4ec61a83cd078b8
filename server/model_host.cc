#include "server/model_host.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <new>
#include <utility>

#include "kernels/registry.h"
#include "server/generation_config.h"
#include "server/units.h"

namespace runahead {
namespace {

// Without --kv-cache-memory the cache holds this many tokens, or four full contexts where that is
// more: enough for a busy laptop, small enough that a start never surprises.
constexpr int64_t kDefaultCacheTokens = 64 << 10;

// models/demo/target is served as "demo": the role in a pair is no name.
std::string NameOf(const std::string& directory) {
  std::filesystem::path path = std::filesystem::absolute(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "target") path = path.parent_path();
  return path.filename().string();
}

Result<DType> FloatDType(const std::string& name, DType automatic, const char* setting) {
  if (name == "auto") return automatic;
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  return InvalidArgument(std::string(setting) + " '" + name + "' is none of auto, f32, bf16",
                         setting);
}

}  // namespace

Result<std::unique_ptr<ModelHost>> ModelHost::Load(const ModelSettings& settings,
                                                   const Clock& clock, Logger& logger,
                                                   std::function<void(double)> progress) {
  std::unique_ptr<ModelHost> host(new ModelHost(settings));
  RA_ASSIGN_OR_RETURN(host->backend_, MakeBackend(settings.backend, settings.backend_options));
  RA_RETURN_IF_ERROR(host->LoadText());
  RA_RETURN_IF_ERROR(host->LoadModel(std::move(progress)));
  RA_RETURN_IF_ERROR(host->AllocateCache());
  host->StartEngine(clock, logger);
  return host;
}

Status ModelHost::LoadText() {
  const std::string& directory = settings_.directory;
  if (!std::filesystem::is_directory(directory)) {
    return {StatusCode::kNotFound, "no checkpoint at " + directory +
                                       ": give a directory with config.json, *.safetensors and "
                                       "tokenizer.json (--model)"};
  }
  RA_ASSIGN_OR_RETURN(served_.tokenizer, LoadTokenizer(directory));
  RA_ASSIGN_OR_RETURN(served_.defaults, LoadSamplingDefaults(directory));
  auto chat_template = ChatTemplate::Load(directory);
  if (chat_template.ok()) {
    served_.chat_template = std::make_unique<ChatTemplate>(std::move(*chat_template));
  } else if (chat_template.status().code() != StatusCode::kNotFound) {
    return chat_template.status();
  }
  return {};
}

Status ModelHost::LoadModel(std::function<void(double)> progress) {
  RA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(settings_.directory));
  const DType automatic = config.checkpoint_dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
  RA_ASSIGN_OR_RETURN(const DType dtype, FloatDType(settings_.dtype, automatic, "dtype"));
  served_.max_context =
      settings_.max_model_len > 0 ? settings_.max_model_len : config.max_positions;
  if (served_.max_context > config.max_positions) {
    return InvalidArgument("max_model_len " + std::to_string(served_.max_context) +
                               " is more than the model's " + std::to_string(config.max_positions) +
                               " positions",
                           "max_model_len");
  }
  LoadOptions options;
  options.format = settings_.load_format;
  options.weight_format = dtype == DType::kF32 ? WeightFormat::kF32 : WeightFormat::kBF16;
  options.max_context = served_.max_context;
  options.progress = std::move(progress);
  RA_ASSIGN_OR_RETURN(transformer_, Transformer::Load(*backend_, settings_.directory, options));
  if (served_.tokenizer->vocab_size() > transformer_->config().vocab_size) {
    return InvalidArgument("the tokenizer has " + std::to_string(served_.tokenizer->vocab_size()) +
                           " tokens, but the model's vocabulary is " +
                           std::to_string(transformer_->config().vocab_size) +
                           ": they do not belong together");
  }
  return {};
}

int64_t ModelHost::CacheBytes(const KvCacheShape& shape) const {
  if (settings_.kv_cache_bytes > 0) return settings_.kv_cache_bytes;
  const int64_t tokens = std::max(kDefaultCacheTokens, int64_t{4} * served_.max_context);
  return (tokens + shape.block_size - 1) / shape.block_size * shape.BlockBytes();
}

Status ModelHost::AllocateCache() {
  const ModelConfig& config = transformer_->config();
  const DType automatic = settings_.dtype == "f32" ? DType::kF32 : DType::kBF16;
  RA_ASSIGN_OR_RETURN(const DType dtype,
                      FloatDType(settings_.kv_cache_dtype, automatic, "kv_cache_dtype"));
  const KvCacheShape shape{.num_layers = config.num_layers,
                           .num_kv_heads = config.num_kv_heads,
                           .head_dim = config.head_dim,
                           .block_size = settings_.block_size,
                           .dtype = dtype};
  const int64_t num_blocks = CacheBytes(shape) / shape.BlockBytes();
  const RunnerLimits limits{.max_rows = settings_.max_num_batched_tokens,
                            .max_sequences = settings_.max_num_seqs,
                            .max_logit_rows = settings_.max_logit_rows,
                            .max_context = served_.max_context,
                            .block_size = settings_.block_size};
  try {
    cache_ = std::make_unique<KvCache>(*backend_, shape, static_cast<int>(num_blocks));
    runner_ = std::make_unique<ModelRunner>(*backend_, *transformer_, *cache_, limits);
  } catch (const std::bad_alloc&) {
    return {StatusCode::kResourceExhausted,
            "no memory for " + Bytes(num_blocks * shape.BlockBytes()) +
                " of KV cache: lower --kv-cache-memory or --max-num-batched-tokens"};
  }
  return {};
}

void ModelHost::StartEngine(const Clock& clock, Logger& logger) {
  const ModelConfig& config = transformer_->config();
  const EngineConfig engine_config{.eos_token_ids = config.eos_token_ids,
                                   .vocab_size = config.vocab_size,
                                   .max_context = served_.max_context,
                                   .num_blocks = cache_->num_blocks(),
                                   .block_size = settings_.block_size,
                                   .max_num_seqs = settings_.max_num_seqs,
                                   .max_num_batched_tokens = settings_.max_num_batched_tokens,
                                   .max_logit_rows = settings_.max_logit_rows,
                                   .max_queue = settings_.max_queue,
                                   .batch_wait = settings_.batch_wait,
                                   .enable_prefix_cache = settings_.enable_prefix_caching,
                                   .stuck_after = settings_.stuck_after};
  engine_ = std::make_unique<Engine>(engine_config, *runner_, clock, metrics_, logger);
  served_.name =
      settings_.served_name.empty() ? NameOf(settings_.directory) : settings_.served_name;
  served_.created_unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count();
  served_.engine = engine_.get();
  served_.metrics = &metrics_;
  served_.clock = &clock;
}

std::vector<std::string> ModelHost::Describe() const {
  const ModelConfig& config = transformer_->config();
  const KvCacheShape& shape = cache_->shape();
  const int64_t token_bytes = shape.BlockBytes() / shape.block_size;
  return {
      "model " + served_.name + ": " + config.architecture + ", " + Count(config.NumWeights()) +
          " weights, " + Bytes(transformer_->weight_bytes()) + " resident, context " +
          std::to_string(served_.max_context),
      "device " + backend_->info().name + ": " + backend_->info().detail,
      "KV cache: " + std::to_string(cache_->num_blocks()) + " blocks of " +
          std::to_string(shape.block_size) + " tokens, " + std::string(DTypeName(shape.dtype)) +
          ", " + Bytes(token_bytes) + " a token, " + Bytes(cache_->bytes()) + " in all",
  };
}

}  // namespace runahead
