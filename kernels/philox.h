// Counter-based randomness (Philox4x32-10, Salmon et al., SC'11): a draw is a pure function of its
// name. Immutable.
#pragma once

#include <array>
#include <cstdint>

namespace runahead {

// What a draw is for; part of the counter, so that draws of different purposes are independent.
enum class NoisePurpose : uint32_t {
  kTarget = 0,    // Gumbel noise of a sampled token; the draft shares it in coupled mode
  kDraft = 1,     // the draft's own noise (rejection mode)
  kAccept = 2,    // the accept coin (rejection mode)
  kResidual = 3,  // residual or bonus draw (rejection mode)
};

// What the i-th draft of a pass draws with in rejection mode: a position that is drafted again
// after a rejection before it gets fresh noise, as the drafts thrown away have had their say in how
// far ahead the policy runs.
constexpr NoisePurpose DraftNoise(int i) {
  return static_cast<NoisePurpose>(static_cast<uint32_t>(NoisePurpose::kDraft) +
                                   (static_cast<uint32_t>(i) << 8));
}

// One request's stream of noise: (seed, choice) is the key, (position, purpose, token) the counter.
struct NoiseKey {
  uint64_t seed = 0;
  uint32_t choice = 0;
};

using Philox4 = std::array<uint32_t, 4>;

constexpr Philox4 PhiloxRounds(Philox4 counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(p0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// The 64-bit Philox key: a bijective mix (splitmix64) of the seed, offset by the choice.
constexpr uint64_t PhiloxKey(NoiseKey key) {
  uint64_t z = key.seed + 0x9E3779B97F4A7C15ull * (uint64_t{key.choice} + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Four words: those of tokens 4 * token_group .. + 3 at `position` (the index in the sequence of
// the token being drawn).
constexpr Philox4 NoiseWords(NoiseKey key, uint32_t position, NoisePurpose purpose,
                             uint32_t token_group) {
  const uint64_t k = PhiloxKey(key);
  return PhiloxRounds({token_group, position, static_cast<uint32_t>(purpose), 0},
                      static_cast<uint32_t>(k), static_cast<uint32_t>(k >> 32));
}

// A word as a uniform in (0, 1), never either end: the 23 upper bits plus one half. (With 24 bits
// the sum is not representable near 1 and rounds to 1, whose Gumbel noise is infinite.)
constexpr float UniformOpen(uint32_t word) {
  return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
}

}  // namespace runahead
