// Tensor cores: ldmatrix and mma.sync. All 32 lanes call. Which element of a matrix each register
// holds is stated in tests/cuda_emulator/fragments.h, as the PTX ISA documents it.
#pragma once

#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// ldmatrix: four (two, one) 8x8 matrices of 16-bit elements from shared memory. Lane l names row l
// % 8 of matrix l / 8, 16 bytes at a multiple of 16; lanes beyond the matrices name nothing.
RA_DEVICE void LoadMatrix4(uint32_t (&registers)[4], const void* row) {
#if defined(RA_CUDA_EMULATOR)
  emulator::LoadMatrices(registers, 4, false, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(SharedAddress(row))
               : "memory");
#endif
}
RA_DEVICE void LoadMatrix2(uint32_t (&registers)[2], const void* row) {
#if defined(RA_CUDA_EMULATOR)
  emulator::LoadMatrices(registers, 2, false, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(registers[0]), "=r"(registers[1])
               : "r"(SharedAddress(row))
               : "memory");
#endif
}
RA_DEVICE void LoadMatrix1(uint32_t& matrix, const void* row) {
#if defined(RA_CUDA_EMULATOR)
  emulator::LoadMatrices(&matrix, 1, false, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(matrix)
               : "r"(SharedAddress(row))
               : "memory");
#endif
}
// The same, each matrix transposed on the way.
RA_DEVICE void LoadMatrix4Transposed(uint32_t (&registers)[4], const void* row) {
#if defined(RA_CUDA_EMULATOR)
  emulator::LoadMatrices(registers, 4, true, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(SharedAddress(row))
               : "memory");
#endif
}
RA_DEVICE void LoadMatrix2Transposed(uint32_t (&registers)[2], const void* row) {
#if defined(RA_CUDA_EMULATOR)
  emulator::LoadMatrices(registers, 2, true, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(registers[0]), "=r"(registers[1])
               : "r"(SharedAddress(row))
               : "memory");
#endif
}

// d[16, 8] += a[16, 16] b[16, 8], sums in f32 (which tensor cores truncate: docs/numerics.md).
RA_DEVICE void MmaF16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(RA_CUDA_EMULATOR)
  emulator::MmaFloat(d, a, b, 16, emulator::FloatType::kF16);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
RA_DEVICE void MmaBF16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(RA_CUDA_EMULATOR)
  emulator::MmaFloat(d, a, b, 16, emulator::FloatType::kBF16);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
// d[16, 8] += a[16, 32] b[32, 8] of signed bytes; sums wrap.
RA_DEVICE void MmaS8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(RA_CUDA_EMULATOR)
  emulator::MmaInt(d, a, b, 32, 8);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
// d[16, 8] += a[16, 64] b[64, 8] of signed nibbles (sm_90 has no such unit and is slow here).
RA_DEVICE void MmaS4(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(RA_CUDA_EMULATOR)
  emulator::MmaInt(d, a, b, 64, 4);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

}  // namespace runahead::RA_CUDA
