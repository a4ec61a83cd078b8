// The emulator as the CUDA backend's device, for tests. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead {

// The CUDA backend, its kernels run by the emulator. What is enqueued runs when someone waits;
// memory is bounded to the byte. The device says that it is of compute capability 9.0, or of
// another.
std::unique_ptr<Backend> MakeEmulatedCudaBackend(int compute_capability = 90);

}  // namespace runahead
