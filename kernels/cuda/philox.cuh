// Philox4x32-10 on the device: the words of kernels/philox.h, whose functions are the host's.
#pragma once

#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

struct NoiseWords4 {
  uint32_t x[4];
};

// A row's stream: the key PhiloxKey makes of its request, and the token's position.
struct NoiseStream {
  uint32_t key0 = 0;
  uint32_t key1 = 0;
  uint32_t position = 0;
};

// Words of tokens 4 * token_group .. + 3.
RA_DEVICE NoiseWords4 NoiseOf(const NoiseStream& stream, uint32_t purpose, uint32_t token_group) {
  uint32_t c0 = token_group;
  uint32_t c1 = stream.position;
  uint32_t c2 = purpose;
  uint32_t c3 = 0;
  uint32_t key0 = stream.key0;
  uint32_t key1 = stream.key1;
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(p0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// In (0, 1), never either end; exact.
RA_DEVICE float Uniform(uint32_t word) { return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f; }

}  // namespace runahead::RA_CUDA
