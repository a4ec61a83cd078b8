// Runs every primitive on the first GPU and on the emulator, on the same random bits, and compares
// what each lane got:
//   primitives_device_check
// Exit code 0: all equal, 1: a difference, 77: no CUDA device.
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "core/dtype.h"
#include "tests/kernels/cuda/primitives_check.h"

namespace runahead {
namespace {

constexpr int kRounds = 50;
constexpr int kNoDevice = 77;

uint32_t Word(PrimitiveInput input, std::mt19937& rng) {
  const auto whole = [&](int limit) {
    return static_cast<float>(static_cast<int>(rng() % static_cast<uint32_t>(2 * limit + 1)) -
                              limit);
  };
  switch (input) {
    case PrimitiveInput::kSmallF16:
      return ToFloat16(whole(8)).bits | uint32_t{ToFloat16(whole(8)).bits} << 16;
    case PrimitiveInput::kSmallBF16:
      return ToBFloat16(whole(8)).bits | uint32_t{ToBFloat16(whole(8)).bits} << 16;
    case PrimitiveInput::kSmallF32:
      return std::bit_cast<uint32_t>(whole(1000));
    case PrimitiveInput::kExponents:
      return std::bit_cast<uint32_t>(whole(130000) / 1000);
    case PrimitiveInput::kBits:
      break;
  }
  return static_cast<uint32_t>(rng());
}

bool AreEqual(PrimitiveOutput output, uint32_t a, uint32_t b) {
  if (a == b) return true;
  if (output == PrimitiveOutput::kBits) return false;
  const auto x = std::bit_cast<float>(a);
  const auto y = std::bit_cast<float>(b);
  if (output == PrimitiveOutput::kFloats) return std::isnan(x) && std::isnan(y);
  return std::abs(static_cast<int64_t>(a) - static_cast<int64_t>(b)) <= 2;
}

// How many words differ over all rounds; the first is printed.
int64_t CountDifferences(size_t which, const PrimitiveInfo& info) {
  std::mt19937 rng(static_cast<uint32_t>(which));
  int64_t differences = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<uint32_t> in(static_cast<size_t>(info.num_threads * info.num_in));
    for (uint32_t& word : in) word = Word(info.input, rng);
    const std::vector<uint32_t> expected = cuda_emulated::RunPrimitive(which, in);
    const std::vector<uint32_t> actual = cuda::RunPrimitive(which, in);
    for (size_t i = 0; i < expected.size(); ++i) {
      if (AreEqual(info.output, expected[i], actual[i])) continue;
      if (differences++ > 0) continue;
      std::printf("  round %d, thread %zu, word %zu: emulator %08x, device %08x\n", round,
                  i / static_cast<size_t>(info.num_out), i % static_cast<size_t>(info.num_out),
                  expected[i], actual[i]);
    }
  }
  return differences;
}

int Main() {
  std::string name;
  const int capability = cuda::FindDevice(name);
  if (capability == 0) {
    std::printf("no CUDA device: %s\n", name.c_str());
    return kNoDevice;
  }
  std::printf("%s, compute capability %d.%d\n", name.c_str(), capability / 10, capability % 10);
  bool is_right = true;
  const std::vector<PrimitiveInfo>& primitives = cuda_emulated::Primitives();
  for (size_t i = 0; i < primitives.size(); ++i) {
    const PrimitiveInfo& info = primitives[i];
    if (info.needs_sm_90a && capability != 90) {
      std::printf("%-24s left out: sm_90a's\n", info.name);
      continue;
    }
    const int64_t differences = CountDifferences(i, info);
    std::printf("%-24s %s: %lld of %lld words differ\n", info.name,
                differences == 0 ? "equal" : "DIFFERS", static_cast<long long>(differences),
                static_cast<long long>(info.num_threads) * info.num_out * kRounds);
    is_right = is_right && differences == 0;
  }
  return is_right ? 0 : 1;
}

}  // namespace
}  // namespace runahead

int main() { return runahead::Main(); }
