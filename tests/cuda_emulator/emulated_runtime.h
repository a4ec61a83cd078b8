// The emulator as the CUDA backend's device, for tests. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead {

// The CUDA backend, its kernels run by the emulator. What is enqueued runs when someone waits;
// memory is bounded to the byte.
std::unique_ptr<Backend> MakeEmulatedCudaBackend();

}  // namespace runahead
