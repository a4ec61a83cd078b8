#include "server/plan_command.h"

#include <memory>
#include <ostream>

#include "kernels/registry.h"
#include "server/memory_check.h"
#include "server/units.h"

namespace runahead {

Status RunPlanCommand(const ModelSettings& settings, std::ostream& out) {
  RA_ASSIGN_OR_RETURN(const auto backend, MakeBackend(settings.backend, settings.backend_options));
  RA_ASSIGN_OR_RETURN(const ModelPlan plan, PlanModel(*backend, settings));
  out << plan.config.architecture << ", " << Count(plan.memory.num_weights) << " weights, context "
      << plan.max_context << ", on " << backend->info().name << ": " << backend->info().detail
      << "\n"
      << MemoryTable(plan.memory, plan.num_blocks);
  const int64_t tokens = plan.num_blocks * plan.memory.kv_shape.block_size;
  out << "The cache holds " << tokens << " tokens, " << tokens / plan.max_context
      << " full contexts, at " << Bytes(plan.memory.token_bytes())
      << " a token. A decode step reads " << Bytes(plan.memory.bytes_per_token_step())
      << " of weights.\n";
  if (settings.load_format == LoadFormat::kAuto) {
    const auto checkpoint = CheckCheckpoint(settings.directory, plan.config);
    out << (checkpoint.ok() ? "The checkpoint is complete: " + Bytes(*checkpoint) + " of tensors.\n"
                            : "The checkpoint: " + checkpoint.status().message() + "\n");
  }
  const int64_t available = AvailableMemory();
  RA_RETURN_IF_ERROR(CheckFits(plan, available));
  out << "It fits: " << Bytes(available) << " are available here.\n";
  return {};
}

}  // namespace runahead
