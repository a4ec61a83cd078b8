// Paged attention of the cpu backend: the step's work split and the op. Engine thread only.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace runahead::cpu {

std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits, int num_threads);

// Cuts the step into units of (sequence, up to 32 query vectors of each KV head), most work first.
// Where these are too few to feed the threads, the key tiles of each are shared out as well, and
// merged in ascending order afterwards.
void PlanAttention(const BatchShape& shape, AttentionPlan& plan);

void PagedAttention(const PagedAttentionArgs& args, const KernelTable& kernels, ThreadPool& pool);

// Rotates q and k and stores k and v in the layout of isa/kernel_table.h.
void RopeAndStoreKv(const RopeStoreKvArgs& args, const KernelTable& kernels, ThreadPool& pool);

void CopyBlocks(const CopyBlocksArgs& args, ThreadPool& pool);

}  // namespace runahead::cpu
