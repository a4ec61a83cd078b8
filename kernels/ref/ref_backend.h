// The reference backend: the specification of every op, slow on purpose. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead {

std::unique_ptr<Backend> MakeRefBackend();

}  // namespace runahead
