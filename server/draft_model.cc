#include "server/draft_model.h"

#include <filesystem>
#include <utility>

#include "core/check.h"

namespace runahead {

Result<std::unique_ptr<DraftModel>> DraftModel::Load(Backend& backend,
                                                     const ModelSettings& settings,
                                                     const ModelPlan& plan,
                                                     const Transformer& target,
                                                     std::function<void(double)> progress) {
  RA_CHECK(plan.draft.has_value());
  const bool is_self = plan.draft->kind == DrafterKind::kSelf;
  const std::string& directory =
      is_self ? settings.directory : settings.speculation.draft_directory;
  const std::filesystem::path path = std::filesystem::path(directory).lexically_normal();
  const std::filesystem::path named = path.has_filename() ? path : path.parent_path();
  std::unique_ptr<DraftModel> draft(new DraftModel(backend, named.string()));
  // Ids that mean nothing to the target are padding to its draft.
  const LoadOptions options{.format = settings.load_format,
                            .weight_format = plan.draft->weight_format,
                            .max_context = plan.draft->limits.max_context,
                            .vocab_limit = plan.config.vocab_limit,
                            .original = is_self ? &target : nullptr,
                            .progress = std::move(progress)};
  RA_ASSIGN_OR_RETURN(draft->transformer_, Transformer::Load(backend, directory, options));
  return draft;
}

void DraftModel::Allocate(const ModelPlan& plan, ModelRunner& target, KvCache& target_cache,
                          const Clock& clock) {
  RunnerLimits limits = plan.draft->limits;
  limits.max_joined_passes = kMaxDrafts;
  if (plan.draft->kind == DrafterKind::kModel) {
    cache_ = std::make_unique<KvCache>(backend_, plan.draft->memory.kv_shape,
                                       static_cast<int>(plan.num_blocks));
  }
  runner_ = std::make_unique<ModelRunner>(backend_, *transformer_,
                                          cache_ != nullptr ? *cache_ : target_cache, limits);
  const bool rejects = plan.limits.verify_mode == VerifyMode::kRejection;
  if (rejects) runner_->KeepProposals(target.draft_logits());
  drafter_ = std::make_unique<ModelDrafter>(*runner_, limits, clock,
                                            rejects ? plan.limits.max_logit_rows : 0,
                                            transformer_->config().vocab_limit, plan.draft->kind);
}

}  // namespace runahead
