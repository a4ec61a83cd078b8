// StagedBackend: lets op tests, whose tensors are host memory, run on a device. Test thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead {

// Each op copies the views and arrays it is given to device memory of exactly their size, runs
// there, and copies them back. Ops whose arguments alias must do so by the same view.
std::unique_ptr<Backend> MakeStagedBackend(std::unique_ptr<Backend> device);

}  // namespace runahead
