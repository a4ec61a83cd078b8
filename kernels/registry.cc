#include "kernels/registry.h"

#include "kernels/ref/ref_backend.h"

namespace runahead {

Result<std::unique_ptr<Backend>> MakeBackend(const std::string& name,
                                             const BackendOptions& /*options*/) {
  if (name == "ref" || name == "auto") return MakeRefBackend();
  std::string known;
  for (const std::string& backend : BackendNames()) known += ", " + backend;
  return Status(StatusCode::kNotFound, "no backend '" + name + "'; this build has: auto" + known,
                "backend");
}

std::vector<std::string> BackendNames() { return {"ref"}; }

std::vector<std::string> CpuIsaNames() { return {}; }

}  // namespace runahead
