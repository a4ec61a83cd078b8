// The emulator as the CUDA backend's device, for tests. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead {

// What the device says of itself.
struct EmulatedDeviceOptions {
  int compute_capability = 90;  // 9.0
  int num_multiprocessors = 3;  // few, so that shares of work are uneven
};

// The CUDA backend, its kernels run by the emulator. What is enqueued runs when someone waits;
// memory is bounded to the byte.
std::unique_ptr<Backend> MakeEmulatedCudaBackend(const EmulatedDeviceOptions& options = {});

}  // namespace runahead
