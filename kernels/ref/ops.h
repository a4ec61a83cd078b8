// The ops of the reference backend, as free functions: plain loops, one output at a time, summed in
// double in ascending order, so that each row is a function of that row alone. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace runahead::ref {

void Embed(const EmbedArgs& args);
void RmsNorm(const RmsNormArgs& args);
void AddRmsNorm(const AddRmsNormArgs& args);
void SiluMul(const SiluMulArgs& args);
void GatherRows(const GatherRowsArgs& args);

std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical);
void Linear(const LinearArgs& args);

std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits);
void PlanAttention(const BatchShape& shape, AttentionPlan& plan);
void RopeAndStoreKv(const RopeStoreKvArgs& args);
void PagedAttention(const PagedAttentionArgs& args);
void CopyBlocks(const CopyBlocksArgs& args);

void ProcessLogits(const ProcessLogitsArgs& args);
void SampleAndVerify(const SampleVerifyArgs& args);
void TopLogprobs(const TopLogprobsArgs& args);

}  // namespace runahead::ref
