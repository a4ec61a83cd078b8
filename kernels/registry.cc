#include "kernels/registry.h"

#include <utility>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda_device.h"
#include "kernels/ref/ref_backend.h"

namespace runahead {

Result<std::unique_ptr<Backend>> MakeBackend(const std::string& name, const BackendOptions& options,
                                             std::string* notice) {
  if (notice != nullptr) notice->clear();
  if (name == "ref") return MakeRefBackend();
  if (name == "cuda")
    return MakeCudaBackend({options.cuda_device, options.cuda_graphs, options.cuda_blas});
  if (name == "auto" && HasCudaBackend()) {
    auto cuda = MakeCudaBackend({options.cuda_device, options.cuda_graphs, options.cuda_blas});
    if (cuda.ok()) return cuda;
    if (notice != nullptr) *notice = cuda.status().message();
  }
  if (name == "cpu" || name == "auto") {
    return MakeCpuBackend({options.num_threads, options.isa, options.pin_threads});
  }
  std::string known = HasCudaBackend() ? ", cuda" : "";
  for (const std::string& backend : BackendNames()) known += ", " + backend;
  return Status(StatusCode::kNotFound, "no backend '" + name + "'; this build has: auto" + known,
                "backend");
}

std::vector<std::string> BackendNames() { return {"cpu", "ref"}; }

std::vector<std::string> CpuIsaNames() { return SupportedCpuIsas(); }

}  // namespace runahead
