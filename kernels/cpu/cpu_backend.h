// The SIMD backend: Highway kernels for the instruction set chosen at run time, over a thread pool.
// Engine thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/backend.h"

namespace runahead {

struct CpuOptions {
  int num_threads = 0;  // 0: one per physical core
  std::string isa;      // "AVX2"; empty: the best this machine runs
  bool pin_threads = false;
};

// kNotFound, naming what there is, for an instruction set this machine does not run.
Result<std::unique_ptr<Backend>> MakeCpuBackend(const CpuOptions& options);

// Names for CpuOptions::isa that work here, best first.
std::vector<std::string> SupportedCpuIsas();

}  // namespace runahead
