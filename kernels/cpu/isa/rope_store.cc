// Rotation of a token's heads, and the stores of its K and V into the cache's layout
// (kernel_table.h).
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/norm-inl.h"
#include "kernels/cpu/isa/quantize_row-inl.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

constexpr int kMaxCacheRow = 1024;  // kMaxHeadDim of rope_store.cc

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

// Rounds a head, in scratch, to values in [-127, 127] with zeros up to `width`; gives their scale
// (KvLayerView has the rules).
HWY_INLINE float QuantizeHead(const RopeSlice& s, int64_t width, int8_t* values) {
  const uint32_t largest_bits = LargestBits(s.scratch, s.head_dim);
  float largest = 0;
  __builtin_memcpy(&largest, &largest_bits, 4);
  __builtin_memset(values, 0, static_cast<size_t>(width));
  if (largest_bits >= 0x7F800000u) return __builtin_nanf("");
  if (largest <= kLeastQuantized) return 0;
  RoundValues(s.scratch, s.head_dim, 127.0f / largest, values);
  return largest / 127.0f;
}

// The same head of an INT8 cache.
HWY_INLINE void StoreInt8(const RopeSlice& s, void* block, int kv_head, bool is_key) {
  int8_t values[kMaxCacheRow];
  const int64_t width = (int64_t{s.head_dim} + 15) / 16 * 16;
  const float scale = QuantizeHead(s, width, values);
  char* head = static_cast<char*>(block) + int64_t{kv_head} * s.block_size * (width + 4);
  __builtin_memcpy(head + 4 * s.in_block, &scale, 4);
  char* first = head + 4 * s.block_size;
  if (is_key) {
    const int group = KeyGroup(s.block_size);
    first += (s.in_block / group * (width / 4) * group + s.in_block % group) * 4;
    for (int64_t u = 0; u < width / 4; ++u) {
      uint32_t four = 0;
      __builtin_memcpy(&four, values + 4 * u, 4);
      four ^= 0x80808080u;
      __builtin_memcpy(first + u * group * 4, &four, 4);
    }
  } else {
    first += s.in_block / 4 * width * 4 + s.in_block % 4;
    for (int64_t i = 0; i < width; ++i) first[4 * i] = static_cast<char>(values[i]);
  }
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
    if (s.kv_is_int8) {
      StoreInt8(s, s.k, h, true);
    } else {
      StoreK(s, h);
    }
  }
  for (int h = 0; h < s.num_kv_heads; ++h, at += s.head_dim) {
    if (!s.kv_is_int8) {
      StoreV(s, h, at);
      continue;
    }
    ForLanes(s.head_dim, [&](auto d, int64_t i) HWY_ATTR {
      hn::StoreU(LoadRow(d, s.qkv, s.qkv_is_bf16, at + i), d, s.scratch + i);
    });
    StoreInt8(s, s.v, h, false);
  }
}

}  // namespace runahead::cpu::RA_ISA
