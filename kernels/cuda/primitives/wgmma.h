// Tensor cores by warpgroups: wgmma.mma_async on matrices in shared memory (sm_90a). All 128
// threads of a warpgroup call. Where elements lie is stated in tests/cuda_emulator/fragments.h and
// matrix_descriptor.h, as the PTX ISA documents it.
//
//   set d; HoldSums(d); WgmmaFence(); WgmmaS8<N>(d, ..); ..; WgmmaCommit();
//   WgmmaWait<0>(); HoldSums(d); use d
//
// A fence comes before the first, and after any other access to the sums. Sums and the matrices
// belong to the tensor cores from the call until a wait for its group.
#pragma once

#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

// How units of 16 bytes are permuted within rows: bits 62 and 63 of a descriptor.
enum class Swizzle : uint8_t { kNone = 0, k128Bytes = 1 };

// A K-major matrix in shared memory: groups of 8 rows lie `stride` bytes apart; without a swizzle,
// the columns of 16 bytes of a group lie `leading` bytes apart.
RA_DEVICE uint64_t MakeDescriptor(const void* start, int leading, int stride, Swizzle swizzle) {
#if defined(RA_CUDA_EMULATOR)
  const uint64_t address = emulator::SharedAddress(start);
#else
  const uint64_t address = SharedAddress(start);
#endif
  return (address & 0x3ffffu) >> 4 | static_cast<uint64_t>(leading >> 4 & 0x3fff) << 16 |
         static_cast<uint64_t>(stride >> 4 & 0x3fff) << 32 | static_cast<uint64_t>(swizzle) << 62;
}
// The same matrix, beginning `bytes` further.
RA_DEVICE uint64_t AdvanceDescriptor(uint64_t descriptor, int bytes) {
  return descriptor + static_cast<uint64_t>(bytes >> 4);
}

#if defined(RA_CUDA_EMULATOR)

inline constexpr bool kHasWgmma = true;

inline void WgmmaFence() { emulator::WgmmaFence(); }
inline void WgmmaCommit() { emulator::WgmmaCommit(); }
template <int kPendingGroups>
void WgmmaWait() {
  emulator::WgmmaWait(kPendingGroups);
}
template <int kN>
void WgmmaS8(int32_t (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulates) {
  emulator::WgmmaS8(d, kN, a, b, accumulates);
}
template <int kCount>
void HoldSums(int32_t (&/*d*/)[kCount]) {}

#else

// wgmma is an instruction of sm_90a alone.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kHasWgmma = true;
#else
inline constexpr bool kHasWgmma = false;
#endif

// wgmma.fence: orders accesses to registers before the wgmma that follow.
RA_DEVICE void WgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// wgmma.commit_group: what was begun since the last one is a group.
RA_DEVICE void WgmmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// wgmma.wait_group: until all but the latest kPendingGroups groups are done.
template <int kPendingGroups>
RA_DEVICE void WgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPendingGroups) : "memory");
}
// No instruction: keeps the compiler from using sums before the wait that precedes this, or setting
// them after the fence that follows.
template <int kCount>
RA_DEVICE void HoldSums(int32_t (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(d[i])::"memory");
}

// The registers of sums as operands: names "%t0" to "%t9", and constraints.
#define RA_TEN_NAMES(t)                                                                            \
  "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t \
  "9, "
#define RA_SUMS_4(d, i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3])
#define RA_SUMS_16(d, i) \
  RA_SUMS_4(d, i), RA_SUMS_4(d, i + 4), RA_SUMS_4(d, i + 8), RA_SUMS_4(d, i + 12)
#define RA_SUMS_64(d, i) \
  RA_SUMS_16(d, i), RA_SUMS_16(d, i + 16), RA_SUMS_16(d, i + 32), RA_SUMS_16(d, i + 48)

// wgmma.mma_async.m64nNk32: d[64, N] (+)= a[64, 32] b[N, 32]^T of signed bytes; sums wrap.
template <int kN>
RA_DEVICE void WgmmaS8(int32_t (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulates) {
  static_assert(kN == 128 || kN == 256, "what kernels use");
  const int scale = accumulates ? 1 : 0;
  if constexpr (kN == 128) {
    asm volatile(
        "{\n"
        ".reg .pred accumulates;\n"
        "setp.ne.b32 accumulates, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" RA_TEN_NAMES() RA_TEN_NAMES(
            1) RA_TEN_NAMES(2) RA_TEN_NAMES(3) RA_TEN_NAMES(4)
            RA_TEN_NAMES(5) "%60, %61, %62, %63}, %64, %65, accumulates;\n"
                            "}"
        : RA_SUMS_64(d, 0)
        : "l"(a), "l"(b), "r"(scale));
  } else {
    asm volatile(
        "{\n"
        ".reg .pred accumulates;\n"
        "setp.ne.b32 accumulates, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 {" RA_TEN_NAMES() RA_TEN_NAMES(
            1) RA_TEN_NAMES(2) RA_TEN_NAMES(3) RA_TEN_NAMES(4) RA_TEN_NAMES(5) RA_TEN_NAMES(6)
            RA_TEN_NAMES(7) RA_TEN_NAMES(8) RA_TEN_NAMES(9) RA_TEN_NAMES(10)
                RA_TEN_NAMES(11) "%120, %121, %122, %123, %124, %125, %126, %127}, %128, %129, "
                                 "accumulates;\n"
                                 "}"
        : RA_SUMS_64(d, 0), RA_SUMS_64(d, 64)
        : "l"(a), "l"(b), "r"(scale));
  }
}

#undef RA_TEN_NAMES
#undef RA_SUMS_4
#undef RA_SUMS_16
#undef RA_SUMS_64

#endif

}  // namespace runahead::RA_CUDA
