// Host memory for the backends that compute on the host. Thread-safe.
#pragma once

#include <cstdint>

#include "kernels/device.h"

namespace runahead {

// Zero-initialised memory whose pages come when first touched (so the touching thread places them).
// 2 MiB pages are asked for, and the start is aligned to one, from `bytes` >= 2 MiB on. Throws
// std::bad_alloc.
DeviceBuffer AllocateHostMemory(int64_t bytes);

// All memory of the machine, in bytes.
int64_t HostMemoryBytes();

}  // namespace runahead
