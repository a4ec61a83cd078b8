// Makes backends by name. Used by main() and tests alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/backend.h"

namespace runahead {

struct BackendOptions {
  int num_threads = 0;   // CPU kernel threads; 0: one per physical core this process may use
  std::string isa = {};  // CPU instruction set to force ("AVX2"); empty: the best present
  bool pin_threads = false;
  int cuda_device = 0;      // which, as CUDA counts them
  bool cuda_graphs = true;  // small steps as CUDA graphs
  bool cuda_blas = true;    // BF16 layers by cuBLASLt
};

// "ref" (the oracle), "cpu", "cuda", or "auto": CUDA where this build and this machine have it,
// else the CPU. kNotFound names the backends of this build; "cuda" where there is none to be had is
// kUnavailable and says why. `notice` becomes what a user should know of what "auto" chose: why a
// build with CUDA computes on the CPU, or nothing.
Result<std::unique_ptr<Backend>> MakeBackend(const std::string& name, const BackendOptions& options,
                                             std::string* notice = nullptr);

// The backends of this build whose memory is the host's, best first: every machine has them.
std::vector<std::string> BackendNames();

// Instruction sets of the cpu backend this machine can run, best first, for tests.
std::vector<std::string> CpuIsaNames();

}  // namespace runahead
