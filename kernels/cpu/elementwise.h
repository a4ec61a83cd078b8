// The row-wise ops of the cpu backend: rows are shared out over the threads, never cut. Engine
// thread only.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace runahead::cpu {

void Embed(const EmbedArgs& args, const KernelTable& kernels, ThreadPool& pool);
void RmsNorm(const RmsNormArgs& args, const KernelTable& kernels, ThreadPool& pool);
void AddRmsNorm(const AddRmsNormArgs& args, const KernelTable& kernels, ThreadPool& pool);
void SiluMul(const SiluMulArgs& args, const KernelTable& kernels, ThreadPool& pool);
void GatherRows(const GatherRowsArgs& args, const KernelTable& kernels, ThreadPool& pool);

}  // namespace runahead::cpu
