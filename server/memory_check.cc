#include "server/memory_check.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "server/units.h"

namespace runahead {
namespace {

// Without kv_cache_bytes the cache holds this many tokens, or four full contexts where that is
// more: enough for a busy laptop, small enough that a start never surprises.
constexpr int64_t kDefaultCacheTokens = 64 << 10;

// A key tile of the attention kernels (64 tokens) is read in runs of tokens that lie in one block.
constexpr int kBlockSizeMultiple = 8;

Result<DType> FloatDType(const std::string& name, DType automatic, const char* setting) {
  if (name == "auto") return automatic;
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name == "f16") return DType::kF16;
  return InvalidArgument(std::string(setting) + " '" + name + "' is none of auto, f32, bf16, f16",
                         setting);
}

Result<DType> CacheDType(const std::string& name, DType automatic) {
  if (name == "int8") return DType::kI8;
  const Result<DType> floats = FloatDType(name, automatic, "kv_cache_dtype");
  if (floats.ok()) return floats;
  return InvalidArgument("kv_cache_dtype '" + name + "' is none of auto, f32, bf16, f16, int8",
                         "kv_cache_dtype");
}

// Only where the backend computes in it.
Status CheckF16(const DeviceInfo& device, DType dtype, const char* setting) {
  if (dtype != DType::kF16 || device.has_f16) return {};
  return InvalidArgument(std::string(setting) + " 'f16' is not for the " + device.name +
                             " backend, which computes in bf16 and f32 (f32 keeps every bit of a "
                             "float16 checkpoint, auto rounds it to bf16)",
                         setting);
}

// int4 as the settings say it.
Result<WeightFormat> Int4Format(const QuantizationSettings& settings) {
  const int group = settings.group_size;
  if (group == 32 || group == 64 || group == 128) {
    return WeightFormat{WeightType::kInt4, group, settings.has_zero_points};
  }
  return InvalidArgument(
      "quantization_group_size " + std::to_string(group) + " is none of 128, 64, 32",
      "quantization_group_size");
}

Result<WeightFormats> WantedFormats(WeightFormat unquantized, const std::string& format,
                                    const QuantizationSettings& settings) {
  WeightFormats wanted = unquantized;
  RA_ASSIGN_OR_RETURN(const WeightFormat int4, Int4Format(settings));
  const auto quantized = ParseQuantization(format, int4);
  if (!quantized.ok()) {
    return InvalidArgument("quantization " + quantized.status().message(), "quantization");
  }
  wanted.quantized = *quantized;
  return wanted;
}

// The model's, with its overrides, checked against it.
Result<WeightFormats> ModelFormatsWanted(const ModelConfig& config, WeightFormat unquantized,
                                         const QuantizationSettings& settings) {
  RA_ASSIGN_OR_RETURN(WeightFormats wanted, WantedFormats(unquantized, settings.format, settings));
  RA_ASSIGN_OR_RETURN(const WeightFormat int4, Int4Format(settings));
  for (const std::string& text : settings.overrides) {
    auto rule = ParseFormatRule(text, int4);
    if (!rule.ok()) {
      return InvalidArgument("quantization_overrides: " + rule.status().message(),
                             "quantization_overrides");
    }
    wanted.rules.push_back(std::move(*rule));
  }
  RA_RETURN_IF_ERROR(FormatsOf(config, wanted).status());
  return wanted;
}

int64_t NumBlocks(const ModelPlan& plan, const ModelSettings& settings) {
  if (settings.num_kv_blocks > 0) return settings.num_kv_blocks;
  if (settings.kv_cache_bytes > 0) return settings.kv_cache_bytes / plan.block_bytes();
  return plan.memory.BlocksFor(std::max(kDefaultCacheTokens, int64_t{4} * plan.max_context));
}

bool IsWanted(DrafterKind kind, const SpeculationSettings& settings) {
  const std::vector<DrafterKind> drafters = settings.Drafters();
  return settings.max_drafts > 0 &&
         std::find(drafters.begin(), drafters.end(), kind) != drafters.end();
}

// kModel, kSelf or, where nobody who runs a model may draft, kNone.
Result<DrafterKind> ModelDrafterWanted(const SpeculationSettings& settings) {
  const bool has_model = IsWanted(DrafterKind::kModel, settings);
  const bool has_self = IsWanted(DrafterKind::kSelf, settings);
  if (has_model && has_self) {
    return InvalidArgument("drafters: model and self both run a model; name one of them",
                           "drafters");
  }
  return has_model ? DrafterKind::kModel : has_self ? DrafterKind::kSelf : DrafterKind::kNone;
}

// The target itself in INT4.
Result<DraftModelPlan> PlanSelf(const Backend& backend, const ModelSettings& settings,
                                const ModelPlan& plan) {
  DraftModelPlan draft;
  draft.kind = DrafterKind::kSelf;
  draft.config = plan.config;
  draft.limits = plan.limits;
  draft.limits.verify_mode = VerifyMode::kCoupled;  // it draws, and judges nothing
  RA_ASSIGN_OR_RETURN(const WeightFormat int4, Int4Format(settings.quantization));
  draft.weight_format = plan.weight_format;
  draft.weight_format.quantized = int4;
  draft.weight_format.rules = {{"model.embed_tokens", std::nullopt}};  // the target's table
  if (plan.weight_format.quantized && plan.weight_format.quantized->type == WeightType::kInt4) {
    return InvalidArgument(
        "drafters: self drafts with an INT4 copy of the model, which is INT4 already; take a "
        "draft model, or none",
        "drafters");
  }
  RA_RETURN_IF_ERROR(FormatsOf(draft.config, draft.weight_format).status());
  draft.memory = PlanMemory(backend, draft.config,
                            {.weight_format = draft.weight_format,
                             .kv_dtype = plan.memory.kv_shape.dtype,
                             .limits = draft.limits,
                             .is_copy = true});
  return draft;
}

Result<DraftModelPlan> PlanDraft(const Backend& backend, const ModelSettings& settings,
                                 const ModelPlan& plan) {
  const std::string& directory = settings.speculation.draft_directory;
  Result<ModelConfig> config = LoadModelConfig(directory);
  if (!config.ok()) {
    return Status(config.status().code(), "draft model: " + config.status().message());
  }
  DraftModelPlan draft;
  draft.config = std::move(*config);
  draft.limits = plan.limits;
  draft.limits.max_context = std::min(plan.max_context, draft.config.max_positions);
  draft.limits.verify_mode = VerifyMode::kCoupled;  // it draws, and judges nothing
  const std::string& wanted = settings.speculation.draft_quantization;
  const std::string& format = wanted == "same" ? settings.quantization.format : wanted;
  RA_ASSIGN_OR_RETURN(draft.weight_format,
                      WantedFormats(plan.weight_format.unquantized, format, settings.quantization));
  RA_RETURN_IF_ERROR(FormatsOf(draft.config, draft.weight_format).status());
  draft.memory = PlanMemory(backend, draft.config,
                            {.weight_format = draft.weight_format,
                             .kv_dtype = plan.memory.kv_shape.dtype,
                             .limits = draft.limits});
  return draft;
}

// A number at the start of a file of one value ("max" and absence count as none).
int64_t ReadBytes(const std::string& path) {
  std::ifstream file(path);
  int64_t bytes = 0;
  return file >> bytes ? bytes : std::numeric_limits<int64_t>::max();
}

}  // namespace

Result<ModelPlan> PlanModel(const Backend& backend, const ModelSettings& settings) {
  ModelPlan plan;
  RA_ASSIGN_OR_RETURN(plan.config, LoadModelConfig(settings.directory));
  plan.max_context =
      settings.max_model_len > 0 ? settings.max_model_len : plan.config.max_positions;
  if (plan.max_context > plan.config.max_positions) {
    return InvalidArgument("max_model_len " + std::to_string(plan.max_context) +
                               " is more than the model's " +
                               std::to_string(plan.config.max_positions) + " positions",
                           "max_model_len");
  }
  if (settings.block_size % kBlockSizeMultiple != 0) {
    return InvalidArgument("block_size " + std::to_string(settings.block_size) +
                               " is not a multiple of " + std::to_string(kBlockSizeMultiple),
                           "block_size");
  }
  const DeviceInfo& device = backend.info();
  const DType in_checkpoint = plan.config.checkpoint_dtype;
  const DType stored =
      in_checkpoint == DType::kF16 && !device.has_f16 ? DType::kBF16 : in_checkpoint;
  RA_ASSIGN_OR_RETURN(const DType weights, FloatDType(settings.dtype, stored, "dtype"));
  RA_RETURN_IF_ERROR(CheckF16(device, weights, "dtype"));
  RA_ASSIGN_OR_RETURN(const DType kv, CacheDType(settings.kv_cache_dtype, weights));
  RA_RETURN_IF_ERROR(CheckF16(device, kv, "kv_cache_dtype"));
  RA_ASSIGN_OR_RETURN(plan.weight_format,
                      ModelFormatsWanted(plan.config,
                                         weights == DType::kF32   ? WeightFormat::kF32
                                         : weights == DType::kF16 ? WeightFormat::kF16
                                                                  : WeightFormat::kBF16,
                                         settings.quantization));
  plan.limits = {.max_rows = settings.max_num_batched_tokens,
                 .max_sequences = settings.max_num_seqs,
                 .max_logit_rows = settings.max_logit_rows,
                 .max_context = plan.max_context,
                 .block_size = settings.block_size,
                 .verify_mode = settings.speculation.verification};
  plan.memory =
      PlanMemory(backend, plan.config,
                 {.weight_format = plan.weight_format, .kv_dtype = kv, .limits = plan.limits});
  RA_ASSIGN_OR_RETURN(const DrafterKind drafter, ModelDrafterWanted(settings.speculation));
  if (drafter == DrafterKind::kModel) {
    RA_ASSIGN_OR_RETURN(plan.draft, PlanDraft(backend, settings, plan));
  } else if (drafter == DrafterKind::kSelf) {
    RA_ASSIGN_OR_RETURN(plan.draft, PlanSelf(backend, settings, plan));
  }
  plan.num_blocks = NumBlocks(plan, settings);
  return plan;
}

Status CheckFits(const ModelPlan& plan, int64_t available_bytes) {
  const int64_t needed_blocks = plan.memory.BlocksFor(plan.max_context);
  if (plan.num_blocks < needed_blocks) {
    return InvalidArgument(
        "a KV cache of " + std::to_string(plan.num_blocks) + " blocks cannot hold one context of " +
        std::to_string(plan.max_context) + " tokens, which takes " + std::to_string(needed_blocks) +
        " blocks (" + Bytes(needed_blocks * plan.block_bytes()) +
        "): raise --kv-cache-bytes or --num-kv-blocks, or lower --max-model-len");
  }
  if (plan.total_bytes() <= available_bytes) return {};
  return {StatusCode::kResourceExhausted, "this needs " + Bytes(plan.total_bytes()) + ", but " +
                                              Bytes(available_bytes) + " are available:\n" +
                                              plan.Table() +
                                              "Lower --kv-cache-bytes, --max-num-batched-tokens or "
                                              "--max-logit-rows, or take a smaller model."};
}

int64_t AvailableMemory(const DeviceInfo& device) {
  return device.free_bytes > 0 ? device.free_bytes : AvailableHostMemory();
}

int64_t AvailableHostMemory() {
  int64_t available = std::numeric_limits<int64_t>::max();
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key; meminfo >> key;) {
    int64_t kibibytes = 0;
    std::string unit;
    if (key == "MemAvailable:" && meminfo >> kibibytes) available = kibibytes << 10;
    std::getline(meminfo, unit);
  }
  const int64_t limit = std::min(ReadBytes("/sys/fs/cgroup/memory.max"),
                                 ReadBytes("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  const int64_t used = std::min(ReadBytes("/sys/fs/cgroup/memory.current"),
                                ReadBytes("/sys/fs/cgroup/memory/memory.usage_in_bytes"));
  if (limit == std::numeric_limits<int64_t>::max() || used > limit) return available;
  return std::min(available, limit - used);
}

}  // namespace runahead
