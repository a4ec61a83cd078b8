#include "server/model_host.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <new>
#include <utility>

#include "kernels/registry.h"
#include "server/generation_config.h"
#include "server/memory_check.h"
#include "server/pair_check.h"
#include "server/units.h"
#include "speculative/calibration.h"

namespace runahead {
namespace {

// models/demo/target is served as "demo": the role in a pair is no name.
std::string NameOf(const std::string& directory) {
  std::filesystem::path path = std::filesystem::absolute(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "target") path = path.parent_path();
  return path.filename().string();
}

}  // namespace

Result<std::unique_ptr<ModelHost>> ModelHost::Load(const ModelSettings& settings,
                                                   const Clock& clock, Logger& logger,
                                                   std::function<void(double)> progress,
                                                   DeciderMaker make_decider) {
  std::unique_ptr<ModelHost> host(new ModelHost(settings));
  RA_ASSIGN_OR_RETURN(host->backend_, MakeBackend(settings.backend, settings.backend_options,
                                                  &host->backend_notice_));
  RA_RETURN_IF_ERROR(host->LoadText());
  RA_RETURN_IF_ERROR(host->LoadModel(std::move(progress)));
  RA_RETURN_IF_ERROR(host->AllocateCache(clock));
  host->StartEngine(clock, logger, make_decider);
  return host;
}

Status ModelHost::LoadText() {
  const std::string& directory = settings_.directory;
  if (!std::filesystem::is_directory(directory)) {
    return {StatusCode::kNotFound, "no checkpoint at " + directory +
                                       ": give a directory with config.json, *.safetensors and "
                                       "tokenizer.json (--model)"};
  }
  if (!settings_.loads_text) return {};
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
  RA_ASSIGN_OR_RETURN(plan_, PlanModel(*backend_, settings_));
  RA_RETURN_IF_ERROR(CheckFits(plan_, AvailableMemory(backend_->info())));
  if (settings_.loads_text && served_.tokenizer->vocab_size() > plan_.config.vocab_limit) {
    return InvalidArgument("the tokenizer has " + std::to_string(served_.tokenizer->vocab_size()) +
                           " tokens, but the model's vocabulary is " +
                           std::to_string(plan_.config.vocab_limit) +
                           ": they do not belong together");
  }
  RA_RETURN_IF_ERROR(CheckPair());
  served_.max_context = plan_.max_context;
  double target_share = 1;
  if (plan_.draft) {
    const auto draft_bytes = static_cast<double>(plan_.draft->memory.weight_bytes());
    const auto target_bytes = static_cast<double>(plan_.memory.weight_bytes());
    target_share = target_bytes / (target_bytes + draft_bytes);
  }
  const auto part = [&](double begin, double end) -> std::function<void(double)> {
    if (!progress) return nullptr;
    return [=](double fraction) { progress(begin + (end - begin) * fraction); };
  };
  const LoadOptions options{.format = settings_.load_format,
                            .weight_format = plan_.weight_format,
                            .max_context = plan_.max_context,
                            .progress = part(0, target_share)};
  RA_ASSIGN_OR_RETURN(transformer_, Transformer::Load(*backend_, settings_.directory, options));
  if (plan_.draft) {
    RA_ASSIGN_OR_RETURN(draft_, DraftModel::Load(*backend_, settings_, plan_, *transformer_,
                                                 part(target_share, 1)));
  }
  return {};
}

Status ModelHost::CheckPair() const {
  const bool has_pair = plan_.draft && plan_.draft->kind == DrafterKind::kModel;
  if (!has_pair || !settings_.loads_text) return {};
  const auto tokenizer = LoadTokenizer(settings_.speculation.draft_directory);
  if (!tokenizer.ok()) {
    return Status(tokenizer.status().code(), "draft model: " + tokenizer.status().message());
  }
  RA_RETURN_IF_ERROR(CheckSameTokens(*served_.tokenizer, **tokenizer));
  const int num_tokens = (*tokenizer)->vocab_size();
  if (num_tokens <= plan_.draft->config.vocab_limit) return {};
  return InvalidArgument("the draft model's tokenizer has " + std::to_string(num_tokens) +
                         " tokens, but its vocabulary is " +
                         std::to_string(plan_.draft->config.vocab_limit) +
                         ": they do not belong together");
}

Status ModelHost::AllocateCache(const Clock& clock) {
  try {
    cache_ = std::make_unique<KvCache>(*backend_, plan_.memory.kv_shape,
                                       static_cast<int>(plan_.num_blocks));
    runner_ = std::make_unique<ModelRunner>(*backend_, *transformer_, *cache_, plan_.limits);
    if (draft_ != nullptr) draft_->Allocate(plan_, *runner_, *cache_, clock);
  } catch (const std::bad_alloc&) {
    return {StatusCode::kResourceExhausted,
            "there was less memory than was said to be available:\n" + plan_.Table()};
  }
  return {};
}

CostModel ModelHost::MeasureSteps(const Clock& clock) {
  const SpeculationSettings& speculation = settings_.speculation;
  if (speculation.Drafters().empty() || speculation.max_drafts == 0) return {};
  CalibrationOptions options = {.limits = plan_.limits, .num_blocks = cache_->num_blocks()};
  if (draft_ == nullptr) return Calibrate(*runner_, nullptr, options, clock);
  options.draft_limits = plan_.draft->limits;
  CostModel costs = Calibrate(*runner_, &draft_->runner(), options, clock);
  if (costs.knows_target() && costs.knows_draft()) {
    constexpr int kContext = 64;
    draft_cost_ratio_ = costs.DraftSeconds(1, kContext) / costs.TargetSeconds(1, kContext);
  }
  return costs;
}

void ModelHost::StartEngine(const Clock& clock, Logger& logger, const DeciderMaker& make_decider) {
  const ModelConfig& config = transformer_->config();
  const SpeculationSettings& speculation = settings_.speculation;
  SpeculationParts parts = {.model = draft_ != nullptr ? &draft_->drafter() : nullptr,
                            .costs = MeasureSteps(clock)};
  if (make_decider) decider_ = make_decider(parts.costs);
  parts.decider = decider_.get();
  const EngineConfig engine_config{
      .eos_token_ids = config.eos_token_ids,
      .vocab_size = config.vocab_limit,
      .max_context = served_.max_context,
      .num_blocks = cache_->num_blocks(),
      .block_size = settings_.block_size,
      .max_num_seqs = settings_.max_num_seqs,
      .max_num_batched_tokens = settings_.max_num_batched_tokens,
      .max_logit_rows = settings_.max_logit_rows,
      .max_queue = settings_.max_queue,
      .batch_wait = settings_.batch_wait,
      .enable_prefix_cache = settings_.enable_prefix_caching,
      .speculation = {.drafters = speculation.Drafters(), .max_drafts = speculation.max_drafts},
      .stuck_after = settings_.stuck_after,
      .seed = settings_.seed};
  engine_ = std::make_unique<Engine>(engine_config, *runner_, clock, metrics_, logger, parts);
  served_.name =
      settings_.served_name.empty() ? NameOf(settings_.directory) : settings_.served_name;
  served_.created_unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count();
  served_.engine = engine_.get();
  served_.metrics = &metrics_;
  served_.clock = &clock;
  served_.default_timeout = settings_.default_timeout;
  served_.speculation = {.mode = speculation.mode, .max_tokens = speculation.max_drafts};
}

std::vector<std::string> ModelHost::Describe() const {
  const ModelConfig& config = transformer_->config();
  const KvCacheShape& shape = cache_->shape();
  const int64_t token_bytes = shape.BlockBytes() / shape.block_size;
  return {
      "model " + served_.name + ": " + config.architecture + ", " + Count(config.NumWeights()) +
          " weights, " + Bytes(transformer_->weight_bytes()) + " resident, " +
          WeightsText(config, plan_.weight_format, plan_.memory) + ", context " +
          std::to_string(served_.max_context),
      "device " + backend_->info().name + ": " + backend_->info().detail +
          (backend_notice_.empty() ? "" : " (" + backend_notice_ + ")"),
      "KV cache: " + std::to_string(cache_->num_blocks()) + " blocks of " +
          std::to_string(shape.block_size) + " tokens, " + std::string(DTypeName(shape.dtype)) +
          ", " + Bytes(token_bytes) + " a token, " + Bytes(cache_->bytes()) + " in all",
      DescribeSpeculation(),
  };
}

std::string ModelHost::DescribeSpeculation() const {
  const SpeculationSettings& speculation = settings_.speculation;
  std::string names;
  for (const DrafterKind kind : speculation.Drafters()) {
    names += (names.empty() ? "" : ", ") + std::string(DrafterName(kind));
  }
  if (names.empty() || speculation.max_drafts == 0) return "speculation: none";
  const bool is_coupled = speculation.verification == VerifyMode::kCoupled;
  std::string text = std::string("speculation: ") +
                     (speculation.mode == SpeculationMode::kOff ? "off" : "auto") + ", up to " +
                     std::to_string(speculation.max_drafts) + " drafts of " + names + "; " +
                     (is_coupled ? "coupled" : "rejection");
  if (draft_ == nullptr) return text;
  const ModelConfig& config = draft_->transformer().config();
  const bool is_self = plan_.draft->kind == DrafterKind::kSelf;
  text += is_self ? "; the model again, " : "; draft model " + draft_->name() + ", ";
  text += Count(config.NumWeights()) + " weights, " + Bytes(draft_->transformer().weight_bytes()) +
          " resident, " + WeightsText(config, plan_.draft->weight_format, plan_.draft->memory) +
          ", " +
          (is_self ? "over the same K/V" : Bytes(plan_.draft->memory.token_bytes()) + " a token");
  if (draft_cost_ratio_ > 0) {
    std::array<char, 64> ratio = {};
    std::snprintf(ratio.data(), ratio.size(), "; one of its steps costs %.2f of the model's",
                  draft_cost_ratio_);
    text += ratio.data();
  }
  if (plan_.draft->limits.max_context < served_.max_context) {
    text += "; it does not draft beyond its context of " +
            std::to_string(plan_.draft->limits.max_context);
  }
  return text;
}

}  // namespace runahead
