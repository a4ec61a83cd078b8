#include "server/plan_command.h"

#include <memory>
#include <ostream>
#include <string>

#include "kernels/registry.h"
#include "server/memory_check.h"
#include "server/pair_check.h"
#include "server/units.h"
#include "text/tokenizer.h"

namespace runahead {
namespace {

std::string DraftLine(const ModelSettings& settings, const ModelPlan& plan) {
  if (!plan.draft) return "";
  const std::string context =
      plan.draft->limits.max_context < plan.max_context
          ? ", drafting up to position " + std::to_string(plan.draft->limits.max_context)
          : "";
  const bool is_self = plan.draft->kind == DrafterKind::kSelf;
  return (is_self ? "with itself as a draft model, tables and K/V shared: "
                  : "with the draft model " + settings.speculation.draft_directory + ": ") +
         plan.draft->config.architecture + ", " + Count(plan.draft->memory.num_weights) +
         " weights (" +
         WeightsText(plan.draft->config, plan.draft->weight_format, plan.draft->memory) + ")" +
         context + "\n";
}

std::string DraftBytes(const ModelPlan& plan) {
  if (!plan.draft) return "";
  return ", each draft " + Bytes(plan.draft->memory.bytes_per_token_step()) + " of the draft's";
}

void PrintCheckpoint(const char* name, const std::string& directory, const ModelConfig& config,
                     std::ostream& out) {
  const auto bytes = CheckCheckpoint(directory, config);
  out << name
      << (bytes.ok() ? " is complete: " + Bytes(*bytes) + " of tensors.\n"
                     : ": " + bytes.status().message() + "\n");
}

// A directory without a tokenizer is planned too.
Status CheckTokens(const ModelSettings& settings) {
  const auto model = LoadTokenizer(settings.directory);
  const auto draft = LoadTokenizer(settings.speculation.draft_directory);
  return model.ok() && draft.ok() ? CheckSameTokens(**model, **draft) : Status();
}

}  // namespace

Status RunPlanCommand(const ModelSettings& settings, std::ostream& out) {
  std::string notice;
  RA_ASSIGN_OR_RETURN(const auto backend,
                      MakeBackend(settings.backend, settings.backend_options, &notice));
  RA_ASSIGN_OR_RETURN(const ModelPlan plan, PlanModel(*backend, settings));
  out << plan.config.architecture << ", " << Count(plan.memory.num_weights) << " weights ("
      << WeightsText(plan.config, plan.weight_format, plan.memory) << "), context "
      << plan.max_context << ", on " << backend->info().name << ": " << backend->info().detail
      << (notice.empty() ? "" : " (" + notice + ")") << "\n"
      << DraftLine(settings, plan) << plan.Table();
  const int64_t tokens = plan.num_blocks * plan.memory.kv_shape.block_size;
  out << "The cache holds " << tokens << " tokens, " << tokens / plan.max_context
      << " full contexts, at " << Bytes(plan.block_bytes() / plan.memory.kv_shape.block_size)
      << " a token. A decode step reads " << Bytes(plan.memory.bytes_per_token_step())
      << " of weights" << DraftBytes(plan) << ".\n";
  if (settings.load_format == LoadFormat::kAuto) {
    PrintCheckpoint("The checkpoint", settings.directory, plan.config, out);
    if (plan.draft && plan.draft->kind == DrafterKind::kModel) {
      PrintCheckpoint("The draft's checkpoint", settings.speculation.draft_directory,
                      plan.draft->config, out);
      RA_RETURN_IF_ERROR(CheckTokens(settings));
    }
  }
  const int64_t available = AvailableMemory(backend->info());
  RA_RETURN_IF_ERROR(CheckFits(plan, available));
  out << "It fits: " << Bytes(available) << " are available here.\n";
  return {};
}

}  // namespace runahead
