// Norms and activations: one row at a time, bound by memory or by the call.
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/norm-inl.h"
#include "kernels/cpu/isa/quantize_row-inl.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

// As many i8 as the tag has lanes, as f32.
template <class D>
HWY_INLINE hn::Vec<D> LoadI8(D d, const int8_t* data) {
  const hn::Rebind<int8_t, D> d8;
  return hn::ConvertTo(d, hn::PromoteTo(hn::RebindToSigned<D>(), hn::LoadU(d8, data)));
}

}  // namespace

void Convert(RowIn from, RowOut to, int64_t width) {
  if (from.scales != nullptr) {
    for (int64_t begin = 0; begin < width; begin += from.group) {
      const float scale = from.scales[begin / from.group];
      const int64_t end = begin + from.group < width ? begin + from.group : width;
      ForLanes(end - begin, [&](auto d, int64_t i) HWY_ATTR {
        const auto value = LoadI8(d, static_cast<const int8_t*>(from.data) + begin + i);
        StoreRow(d, hn::Mul(value, hn::Set(d, scale)), to.data, to.is_bf16, begin + i);
      });
    }
    return;
  }
  if (to.scales == nullptr && from.is_bf16 == to.is_bf16) {
    __builtin_memcpy(to.data, from.data, static_cast<size_t>(width) * (from.is_bf16 ? 2 : 4));
    return;
  }
  StoreValues(to, width,
              [&](auto d, int64_t i) HWY_ATTR { return LoadRow(d, from.data, from.is_bf16, i); });
}

void RmsNorm(RowIn x, const float* gain, float eps, RowOut y, int64_t width) {
  const float inverse = InverseRms(SumSquares(x.data, x.is_bf16, width), width, eps);
  StoreValues(y, width, [&](auto d, int64_t i) HWY_ATTR {
    const auto scaled = hn::Mul(LoadRow(d, x.data, x.is_bf16, i), hn::Set(d, inverse));
    return hn::Mul(scaled, hn::LoadU(d, gain + i));
  });
}

void Add(RowOut residual, RowIn x, int64_t width) {
  ForLanes(width, [&](auto d, int64_t i) HWY_ATTR {
    const auto sum =
        hn::Add(LoadRow(d, residual.data, residual.is_bf16, i), LoadRow(d, x.data, x.is_bf16, i));
    StoreRow(d, sum, residual.data, residual.is_bf16, i);
  });
}

void SiluMul(RowIn gate, RowIn up, RowOut out, int64_t width) {
  StoreValues(out, width, [&](auto d, int64_t i) HWY_ATTR {
    const auto g = LoadRow(d, gate.data, gate.is_bf16, i);
    const auto one = hn::Set(d, 1.0f);
    // e^-g stays finite for g >= -88; beyond, silu is below the smallest normal f32 and comes out
    // as -0.
    const auto e = Exp(d, hn::Min(hn::Neg(g), hn::Set(d, 88.0f)));
    const auto silu = hn::Div(g, hn::Add(one, e));
    return hn::Mul(silu, LoadRow(d, up.data, up.is_bf16, i));
  });
}

}  // namespace runahead::cpu::RA_ISA
