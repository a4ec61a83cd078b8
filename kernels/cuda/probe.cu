// Probe: a kernel that does nothing, by which the runtime learns whether this build has code for a
// device before the first real launch would fail.
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/probe.h"

namespace runahead::cuda {
namespace {

struct ProbeParams {
  int nothing = 0;
};

__global__ void Probe(const __grid_constant__ ProbeParams /*params*/) {}

}  // namespace

cudaError_t LoadProbe() {
  cudaFuncAttributes attributes = {};
  return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(Probe));
}

}  // namespace runahead::cuda
