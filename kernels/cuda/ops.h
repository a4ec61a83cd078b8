// The ops of the CUDA backend, as free functions: each checks its arguments, turns them into its
// kernel's parameters, and launches. They return at once. Engine thread only.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/dense_linear.h"
#include "kernels/cuda/device_runtime.h"
#include "kernels/cuda/span_staging.h"

namespace runahead::RA_CUDA {

// What an op may use besides its arguments. Tensor memory and gains are the device's; spans are the
// host's and go through `spans`.
struct OpContext {
  DeviceRuntime& runtime;
  SpanStaging& spans;
  DenseLinear* dense = nullptr;  // null: plain_linear.cu multiplies 16-bit weights

  Stream stream() const { return runtime.stream(); }
};

void Embed(const EmbedArgs& args, OpContext& context);
void RmsNorm(const RmsNormArgs& args, OpContext& context);
void AddRmsNorm(const AddRmsNormArgs& args, OpContext& context);
void SiluMul(const SiluMulArgs& args, OpContext& context);
void GatherRows(const GatherRowsArgs& args, OpContext& context);
void CopyBlocks(const CopyBlocksArgs& args, OpContext& context);
void RopeAndStoreKv(const RopeStoreKvArgs& args, OpContext& context);

std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits,
                                                 DeviceRuntime& runtime);
void PlanAttention(const BatchShape& shape, AttentionPlan& plan, OpContext& context);
void PagedAttention(const PagedAttentionArgs& args, OpContext& context);

void ProcessLogits(const ProcessLogitsArgs& args, OpContext& context);
void SampleAndVerify(const SampleVerifyArgs& args, OpContext& context);
void TopLogprobs(const TopLogprobsArgs& args, OpContext& context);

// F32, BF16 and F16 weights (plain_linear.cu).
std::unique_ptr<LinearWeight> PackPlainLinear(const HostLinear& canonical, DeviceRuntime& runtime);
void PlainLinear(const LinearArgs& args, OpContext& context);

// INT4 weights (int4_linear.cu, packed by int4_weight.cc).
class Int4Weight;
void AllowInt4Linear();  // once, before the first
void Int4Linear(const LinearArgs& args, const Int4Weight& weight, OpContext& context);

// INT8 weights (packed by int8_weight.cc), activations in their input format.
class Int8Weight;
void AllowInt8Linear(const DeviceProperties& device);  // once, before the first
void Int8Linear(const LinearArgs& args, const Int8Weight& weight, OpContext& context);
// 16-bit activations (int8_a16_linear.cu): where Int8Linear goes with them.
void AllowInt8A16Linear();
void Int8A16Linear(const LinearArgs& args, const Int8Weight& weight, OpContext& context);

}  // namespace runahead::RA_CUDA
