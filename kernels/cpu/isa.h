// The instruction sets the cpu backend was built for, and which this machine can run. Thread-safe.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cpu/isa/kernel_table.h"

namespace runahead::cpu {

struct Isa {
  std::string_view name;         // "AVX512_BF16"
  std::string_view description;  // "AVX-512 with BF16"
  bool (*is_supported)();
  const KernelTable& (*kernels)();
};

// Best first; all this build has.
std::span<const Isa> BuiltIsas();

// The named one (any case) if this machine runs it; for an empty name, the best it runs. Null where
// there is none.
const Isa* FindIsa(std::string_view name);

}  // namespace runahead::cpu
