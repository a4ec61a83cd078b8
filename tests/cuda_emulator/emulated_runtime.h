// The emulator as the CUDA backend's device, for tests. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead {

// What the device is, and what it says of itself.
struct EmulatedDeviceOptions {
  int compute_capability = 90;  // 9.0
  int num_multiprocessors = 3;  // few, so that shares of work are uneven
  bool has_graphs = true;
  // Device memory is out of the host's reach but while the device works: a host that reads a view
  // ends as it would with a GPU, with a signal.
  bool is_guarded = false;
  // Where it points to true the device has failed. Borrowed; null: it never does.
  const bool* is_lost = nullptr;
};

// The CUDA backend, its kernels run by the emulator. What is enqueued runs when someone waits;
// memory is bounded to the byte.
std::unique_ptr<Backend> MakeEmulatedCudaBackend(const EmulatedDeviceOptions& options = {});

}  // namespace runahead
