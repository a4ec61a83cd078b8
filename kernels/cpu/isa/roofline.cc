// The ceilings of the machine under this instruction set: what reading and multiplying can reach at
// best.
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

// Independent chains: more than latency x units of any core so far, and all in registers.
constexpr int kChains = kLanes == 16 ? 24 : 12;

HWY_INLINE float Fold(const VecF<kLanes> (&acc)[kChains]) {
  auto sum = acc[0];
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(hn::SumOfLanes(DF(), sum));
}

// A start of its own for each chain: equal chains would be computed once.
HWY_INLINE VecF<kLanes> Seed(int i) {
  volatile float value = static_cast<float>(i);
  return hn::Set(DF(), value);
}

}  // namespace

float ReadStream(const void* data, int64_t bytes) {
  const DU d;
  constexpr int64_t kVecBytes = kLanes * 4;
  const char* at = static_cast<const char*>(data);
  auto a = hn::Zero(d);
  auto b = a;
  auto c = a;
  auto e = a;
  for (int64_t i = 0; i + 4 * kVecBytes <= bytes; i += 4 * kVecBytes) {
    __builtin_prefetch(at + i + 2048);
    __builtin_prefetch(at + i + 2048 + 64);
    __builtin_prefetch(at + i + 2048 + 128);
    __builtin_prefetch(at + i + 2048 + 192);
    a = hn::Xor(a, hn::LoadU(d, reinterpret_cast<const uint32_t*>(at + i)));
    b = hn::Xor(b, hn::LoadU(d, reinterpret_cast<const uint32_t*>(at + i + kVecBytes)));
    c = hn::Xor(c, hn::LoadU(d, reinterpret_cast<const uint32_t*>(at + i + 2 * kVecBytes)));
    e = hn::Xor(e, hn::LoadU(d, reinterpret_cast<const uint32_t*>(at + i + 3 * kVecBytes)));
  }
  return static_cast<float>(hn::GetLane(hn::Xor(hn::Xor(a, b), hn::Xor(c, e))));
}

float SpinBf16(int64_t iterations, double& operations) {
  const DF d;
  VecF<kLanes> acc[kChains];
  RA_UNROLL24 for (int i = 0; i < kChains; ++i) acc[i] = Seed(i);
  const auto w = hn::Set(DU(), 0x3F803F80u);
  for (int64_t n = 0; n < iterations; ++n) {
    RA_UNROLL24 for (int i = 0; i < kChains; ++i) acc[i] = DotPair(d, acc[i], w, w);
  }
  operations = static_cast<double>(iterations) * kChains * kLanes * 4;
  return Fold(acc);
}

float SpinF32(int64_t iterations, double& operations) {
  const DF d;
  VecF<kLanes> acc[kChains];
  RA_UNROLL24 for (int i = 0; i < kChains; ++i) acc[i] = Seed(i);
  const auto w = hn::Set(d, 0.5f);
  for (int64_t n = 0; n < iterations; ++n) {
    RA_UNROLL24 for (int i = 0; i < kChains; ++i) acc[i] = hn::MulAdd(acc[i], w, w);
  }
  operations = static_cast<double>(iterations) * kChains * kLanes * 2;
  return Fold(acc);
}

}  // namespace runahead::cpu::RA_ISA
