// Norms, activations, rotation and cache stores: one row at a time, bound by memory or by the call.
//
// Sums over a row run in vector lanes, then across the lanes, then over the tail: an order that
// depends on the row's width alone.
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

HWY_INLINE float LoadOne(const void* data, bool is_bf16, int64_t i) {
  return is_bf16 ? FromBf16(static_cast<const uint16_t*>(data)[i])
                 : static_cast<const float*>(data)[i];
}

// Sum of squares of [0, width).
HWY_INLINE float SumSquares(const void* data, bool is_bf16, int64_t width) {
  const DF d;
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
    const auto a = LoadRow(d, data, is_bf16, i);
    const auto b = LoadRow(d, data, is_bf16, i + kLanes);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < width; ++i) sum += LoadOne(data, is_bf16, i) * LoadOne(data, is_bf16, i);
  return sum;
}

HWY_INLINE float InverseRms(float sum_squares, int64_t width, float eps) {
  return 1.0f / __builtin_sqrtf(sum_squares / static_cast<float>(width) + eps);
}

// One head's norm (optional) and rotation, in f32 scratch.
HWY_INLINE void RotateHead(const RopeSlice& s, int64_t at, const float* gain) {
  const int64_t dim = s.head_dim;
  const int64_t half = dim / 2;
  float* head = s.scratch;
  ForLanes(dim, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(LoadRow(d, s.qkv, s.qkv_is_bf16, at + i), d, head + i);
  });
  if (gain != nullptr) {
    const float inverse = InverseRms(SumSquares(head, false, dim), dim, s.norm_eps);
    ForLanes(dim, [&](auto d, int64_t i) HWY_ATTR {
      const auto scaled = hn::Mul(hn::LoadU(d, head + i), hn::Set(d, inverse));
      hn::StoreU(hn::Mul(scaled, hn::LoadU(d, gain + i)), d, head + i);
    });
  }
  ForLanes(half, [&](auto d, int64_t i) HWY_ATTR {
    const auto a = hn::LoadU(d, head + i);
    const auto b = hn::LoadU(d, head + half + i);
    const auto c = hn::LoadU(d, s.rope + i);
    const auto sine = hn::LoadU(d, s.rope + half + i);
    hn::StoreU(hn::Sub(hn::Mul(a, c), hn::Mul(b, sine)), d, head + i);
    hn::StoreU(hn::Add(hn::Mul(b, c), hn::Mul(a, sine)), d, head + half + i);
  });
}

// Puts a head of K, in scratch, at its token's place (layout: kernel_table.h).
HWY_INLINE void StoreK(const RopeSlice& s, int kv_head) {
  const int group = KeyGroup(s.block_size);
  const int64_t units = s.kv_is_bf16 ? s.head_dim / 2 : s.head_dim;
  const int64_t first = int64_t{kv_head} * s.block_size * units +
                        s.in_block / group * units * group + s.in_block % group;
  for (int64_t u = 0; u < units; ++u) {
    if (s.kv_is_bf16) {
      uint16_t* pair = static_cast<uint16_t*>(s.k) + 2 * (first + u * group);
      pair[0] = RoundToBf16(s.scratch[2 * u]);
      pair[1] = RoundToBf16(s.scratch[2 * u + 1]);
    } else {
      static_cast<float*>(s.k)[first + u * group] = s.scratch[u];
    }
  }
}

HWY_INLINE void StoreV(const RopeSlice& s, int kv_head, int64_t at) {
  const int64_t head = int64_t{kv_head} * s.block_size * s.head_dim;
  if (!s.kv_is_bf16) {
    float* to = static_cast<float*>(s.v) + head + int64_t{s.in_block} * s.head_dim;
    for (int64_t i = 0; i < s.head_dim; ++i) to[i] = LoadOne(s.qkv, s.qkv_is_bf16, at + i);
    return;
  }
  uint16_t* to = static_cast<uint16_t*>(s.v) + head + int64_t{s.in_block / 2} * 2 * s.head_dim +
                 s.in_block % 2;
  for (int64_t i = 0; i < s.head_dim; ++i) {
    to[2 * i] = RoundToBf16(LoadOne(s.qkv, s.qkv_is_bf16, at + i));
  }
}

}  // namespace

void RopeStore(const RopeSlice& s) {
  int64_t at = 0;
  for (int h = 0; h < s.num_heads; ++h, at += s.head_dim) {
    RotateHead(s, at, s.q_norm);
    ForLanes(s.head_dim, [&](auto d, int64_t i) HWY_ATTR {
      StoreRow(d, hn::LoadU(d, s.scratch + i), s.qkv, s.qkv_is_bf16, at + i);
    });
  }
  for (int h = 0; h < s.num_kv_heads; ++h, at += s.head_dim) {
    RotateHead(s, at, s.k_norm);
    StoreK(s, h);
  }
  for (int h = 0; h < s.num_kv_heads; ++h, at += s.head_dim) StoreV(s, h, at);
}

void Convert(RowIn from, RowOut to, int64_t width) {
  if (from.is_bf16 == to.is_bf16) {
    __builtin_memcpy(to.data, from.data, static_cast<size_t>(width) * (from.is_bf16 ? 2 : 4));
    return;
  }
  ForLanes(width, [&](auto d, int64_t i) HWY_ATTR {
    StoreRow(d, LoadRow(d, from.data, from.is_bf16, i), to.data, to.is_bf16, i);
  });
}

void RmsNorm(RowIn x, const float* gain, float eps, RowOut y, int64_t width) {
  const float inverse = InverseRms(SumSquares(x.data, x.is_bf16, width), width, eps);
  ForLanes(width, [&](auto d, int64_t i) HWY_ATTR {
    const auto scaled = hn::Mul(LoadRow(d, x.data, x.is_bf16, i), hn::Set(d, inverse));
    StoreRow(d, hn::Mul(scaled, hn::LoadU(d, gain + i)), y.data, y.is_bf16, i);
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
  ForLanes(width, [&](auto d, int64_t i) HWY_ATTR {
    const auto g = LoadRow(d, gate.data, gate.is_bf16, i);
    const auto one = hn::Set(d, 1.0f);
    // e^-g stays finite for g >= -88; beyond, silu is below the smallest normal f32 and comes out
    // as -0.
    const auto e = Exp(d, hn::Min(hn::Neg(g), hn::Set(d, 88.0f)));
    const auto silu = hn::Div(g, hn::Add(one, e));
    StoreRow(d, hn::Mul(silu, LoadRow(d, up.data, up.is_bf16, i)), out.data, out.is_bf16, i);
  });
}

}  // namespace runahead::cpu::RA_ISA
