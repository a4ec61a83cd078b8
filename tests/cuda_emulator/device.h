// The CUDA emulator's device side: what the emulated twins of the primitives call, from inside a
// running thread of a kernel. Each function's contract is that of the primitive it stands for.
#pragma once

#include <cstdint>
#include <source_location>

#include "tests/cuda_emulator/emulator.h"

namespace runahead::emulator {

using Where = std::source_location;

Dim ThreadIndex();
Dim BlockIndex();
Dim BlockSize();
Dim GridSize();
int LinearThread();  // x + y * width + z * width * height

// Barriers. Threads that meet at one must come from the same line of the source.
void SyncThreads(const Where& where);
void SyncNamed(int barrier, int num_threads, const Where& where);
void ArriveNamed(int barrier, int num_threads, const Where& where);
void SyncWarp(uint32_t mask);

// Shared memory, filled with 0xff bytes (NaN in every float type). `key` names a static object.
void* StaticShared(const void* key, int64_t bytes, int64_t alignment);
void* DynamicShared();

// Accesses the primitives make on their own: bounds, alignment, and on shared memory races.
void CheckRead(const void* address, int64_t bytes, int64_t alignment);
void CheckWrite(const void* address, int64_t bytes, int64_t alignment);

// The value before. Relaxed: they order nothing but themselves.
int32_t AtomicAdd(int32_t* at, int32_t value);
uint32_t AtomicAdd(uint32_t* at, uint32_t value);
float AtomicAdd(float* at, float value);
int32_t AtomicMax(int32_t* at, int32_t value);
uint32_t AtomicMax(uint32_t* at, uint32_t value);

[[noreturn]] void Trap(const char* message);

// Warp shuffles of `bytes` <= 16: the value of lane `source` (of those in `mask`) replaces *value.
void Shuffle(void* value, int64_t bytes, int source, uint32_t mask);
uint32_t Ballot(bool predicate, uint32_t mask);
// redux.sync: add, min and max of signed integers.
enum class Reduction : uint8_t { kAdd, kMin, kMax };
int32_t Reduce(int32_t value, Reduction reduction, uint32_t mask);

// Asynchronous copies: the destination holds what it held until its issuer has waited.
void CopyAsync(void* shared, const void* global, int64_t bytes, int64_t source_bytes);
void CommitAsync();
void WaitAsync(int num_pending_groups);

// ldmatrix of `count` 8x8 matrices of 16-bit elements (fragments.h).
void LoadMatrices(uint32_t* registers, int count, bool transposed, const void* row);

// mma.sync (fragments.h). Floats: m16n8k16 and m16n8k8 (f16 or bf16) with f32 sums.
enum class FloatType : uint8_t { kF16, kBF16 };
void MmaFloat(float* d, const uint32_t* a, const uint32_t* b, int k, FloatType type);
// Integers: m16n8k32 and m16n8k16 s8, m16n8k64 and m16n8k32 s4, with s32 sums that wrap.
void MmaInt(int32_t* d, const uint32_t* a, const uint32_t* b, int k, int bits);

// Asynchronous barriers in shared memory, the copies that report to them, and the proxy fence.
void InitMbarrier(void* at, int num_arrivals);
void ArriveMbarrier(void* at, int64_t bytes);  // and announces bytes, if any
void ArriveWhenCopied(void* at);
void WaitMbarrier(void* at, int parity, const Where& where);
void CopyBulk(void* shared, const void* global, int64_t bytes, void* barrier);
void FenceAsyncProxy();

// wgmma of signed bytes, m64nNk32 (matrix_descriptor.h, fragments.h); d of each thread has n / 2
// sums, which hold nothing of use until their group has been waited for.
uint32_t SharedAddress(const void* shared);
void WgmmaFence();
void WgmmaS8(int32_t* d, int n, uint64_t a, uint64_t b, bool accumulates);
void WgmmaCommit();
void WgmmaWait(int num_pending_groups);

}  // namespace runahead::emulator
