// The ops of the CUDA backend, as free functions: each checks its arguments, turns them into its
// kernel's parameters, and launches. They return at once. Engine thread only.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/device_runtime.h"
#include "kernels/cuda/span_staging.h"

namespace runahead::RA_CUDA {

// What an op may use besides its arguments. Tensor memory and gains are the device's; spans are the
// host's and go through `spans`.
struct OpContext {
  DeviceRuntime& runtime;
  SpanStaging& spans;

  Stream stream() const { return runtime.stream(); }
};

void Embed(const EmbedArgs& args, OpContext& context);
void RmsNorm(const RmsNormArgs& args, OpContext& context);
void AddRmsNorm(const AddRmsNormArgs& args, OpContext& context);
void SiluMul(const SiluMulArgs& args, OpContext& context);
void GatherRows(const GatherRowsArgs& args, OpContext& context);
void CopyBlocks(const CopyBlocksArgs& args, OpContext& context);
void RopeAndStoreKv(const RopeStoreKvArgs& args, OpContext& context);

// F32 and BF16 weights (plain_linear.cu).
std::unique_ptr<LinearWeight> PackPlainLinear(const HostLinear& canonical, DeviceRuntime& runtime);
void PlainLinear(const LinearArgs& args, OpContext& context);

}  // namespace runahead::RA_CUDA
