// Makes backends by name. Used by main() and tests alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/backend.h"

namespace runahead {

struct BackendOptions {
  int num_threads = 0;  // CPU kernel threads; 0: one per physical core this process may use
  std::string isa;      // CPU instruction set to force ("AVX2"); empty: the best present
  bool pin_threads = false;
};

// "ref" (the oracle), "cpu", or "auto". kNotFound names the backends there are.
Result<std::unique_ptr<Backend>> MakeBackend(const std::string& name,
                                             const BackendOptions& options);

// Names MakeBackend takes on this machine, best first.
std::vector<std::string> BackendNames();

// Instruction sets of the cpu backend this machine can run, best first, for tests.
std::vector<std::string> CpuIsaNames();

}  // namespace runahead
