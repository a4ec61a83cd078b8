#include "kernels/registry.h"

#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/ref_backend.h"

namespace runahead {

Result<std::unique_ptr<Backend>> MakeBackend(const std::string& name,
                                             const BackendOptions& options) {
  if (name == "ref") return MakeRefBackend();
  if (name == "cpu" || name == "auto") {
    return MakeCpuBackend({options.num_threads, options.isa, options.pin_threads});
  }
  std::string known;
  for (const std::string& backend : BackendNames()) known += ", " + backend;
  return Status(StatusCode::kNotFound, "no backend '" + name + "'; this build has: auto" + known,
                "backend");
}

std::vector<std::string> BackendNames() { return {"cpu", "ref"}; }

std::vector<std::string> CpuIsaNames() { return SupportedCpuIsas(); }

}  // namespace runahead
