// ProfileRange: names what the host does while it lives, for NVIDIA's profilers. Engine thread
// only.
#pragma once

#include "kernels/cuda/primitives/platform.h"

#if !defined(RA_CUDA_EMULATOR)
#include <nvtx3/nvToolsExt.h>
#endif

namespace runahead::RA_CUDA {

#if defined(RA_CUDA_EMULATOR)

class ProfileRange {
 public:
  explicit ProfileRange(const char* /*name*/) {}
  ~ProfileRange() {}
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;
};

#else

// Costs nanoseconds where no profiler is attached.
class ProfileRange {
 public:
  explicit ProfileRange(const char* name) : id_(nvtxRangeStartA(name)) {}
  ~ProfileRange() { nvtxRangeEnd(id_); }
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;

 private:
  nvtxRangeId_t id_;
};

#endif

}  // namespace runahead::RA_CUDA
