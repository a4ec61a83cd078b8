// The ceiling of INT8 dot products under this instruction set, registers alone.
#include "kernels/cpu/isa/dot-inl.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

// Independent chains, as many as hide the latency and fit the registers.
constexpr int kChains = kLanes == 16 && kHasDot ? 24 : kHasDot ? 12 : 8;

// Makes the compiler forget what it knows of x: equal products would be computed once.
HWY_INLINE void Forget(VecBytes& x) {
#if HWY_ARCH_X86
  __asm__ volatile("" : "+v"(x.raw));
#else
  __asm__ volatile("" : "+w"(x.raw));
#endif
}

// A start of its own for each chain: equal chains would be computed once.
HWY_INLINE VecI Seed(int i) {
  volatile int32_t value = i;
  return hn::Set(DI(), value);
}

}  // namespace

float SpinInt8(int64_t iterations, double& operations) {
  VecI sums[kChains];
  Unroll<kChains>([&](auto i) RA_INLINED { sums[i] = Seed(i); });
  const VecBytes w = hn::Set(DU(), 0x05040302u);
  VecBytes x = hn::Set(DU(), 0x01020304u);
  for (int64_t n = 0; n < iterations; ++n) {
    Unroll<kChains>([&](auto i) RA_INLINED {
      if constexpr (!kHasDot) Forget(x);
      sums[i] = Int8Weights::Add(sums[i], w, x);
    });
  }
  operations = static_cast<double>(iterations) * kChains * kLanes * 8;
  auto total = sums[0];
  Unroll<kChains - 1>([&](auto i) RA_INLINED { total = hn::Add(total, sums[i + 1]); });
  return static_cast<float>(hn::GetLane(total));
}

}  // namespace runahead::cpu::RA_ISA
