// The CUDA backends of this build and machine, for tests: the emulator, and a GPU where there is
// one. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/registry.h"
#include "tests/cuda_emulator/emulated_runtime.h"

namespace runahead {

// "emulated", its memory out of the host's reach, and "device".
inline std::vector<std::string> CudaDevices() {
  std::vector<std::string> names = {"emulated"};
  if (MakeBackend("cuda", {}).ok()) names.push_back("device");
  return names;
}

// Makes backends on one of them.
inline std::function<std::unique_ptr<Backend>()> MakerOf(const std::string& device,
                                                         bool has_graphs) {
  return [=] {
    return device == "device"
               ? MakeBackend("cuda", {.cuda_graphs = has_graphs}).value()
               : MakeEmulatedCudaBackend({.has_graphs = has_graphs, .is_guarded = true});
  };
}

}  // namespace runahead
