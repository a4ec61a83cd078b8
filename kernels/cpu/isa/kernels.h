// Declares the kernels of one instruction set; isa/table.cc puts them into its KernelTable.
// Thread-safe.
#pragma once

#include "kernels/cpu/isa/kernel_table.h"

namespace runahead::cpu::RA_ISA {

void LinearBf16(const LinearSlice& slice);
void LinearF32(const LinearSlice& slice);
void LinearInt4(const QuantizedLinearSlice& slice);
void LinearInt8(const QuantizedLinearSlice& slice);
void Attention(const AttentionSlice& slice);
void AttentionInt8(const AttentionSlice& slice);
void MergeAttention(const AttentionSlice& slice);
void RopeStore(const RopeSlice& slice);
void Convert(RowIn from, RowOut to, int64_t width);
void RmsNorm(RowIn x, const float* gain, float eps, RowOut y, int64_t width);
void Add(RowOut residual, RowIn x, int64_t width);
void SiluMul(RowIn gate, RowIn up, RowOut out, int64_t width);
void Divide(float* logits, int64_t vocab, float by);
float Max(const float* logits, int64_t vocab);
int32_t ArgMax(const float* logits, int64_t vocab);
double SumExp(const float* logits, int64_t vocab, float highest);
int64_t CountGreater(const float* logits, int64_t vocab, float bound);
int64_t Collect(const float* logits, int64_t vocab, float bound, bool or_equal, int32_t* ids,
                int64_t capacity);
void Histogram(const float* logits, int64_t vocab, float highest, LogitHistogram& out);
void Residual(const SoftmaxRow& p, const SoftmaxRow& q, int64_t vocab, float* out);
float ReadStream(const void* data, int64_t bytes);
float SpinBf16(int64_t iterations, double& operations);
float SpinF32(int64_t iterations, double& operations);
float SpinInt8(int64_t iterations, double& operations);
int32_t GumbelArgMax(const float* logits, int64_t vocab, const NoiseName& noise);
int32_t GumbelArgMaxOf(const float* logits, const int32_t* ids, int64_t count,
                       const NoiseName& noise);

}  // namespace runahead::cpu::RA_ISA
