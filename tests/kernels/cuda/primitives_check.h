// The primitives of kernels/cuda/primitives, each as a kernel that is built twice: for a device and
// for the emulator. Pure data, and functions of one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace runahead {

// What a primitive is given, a word at a time.
enum class PrimitiveInput : uint8_t {
  kBits,       // any
  kSmallF16,   // pairs of whole numbers from -8 to 8: their products' sums are exact
  kSmallBF16,  // the same
  kSmallF32,   // whole numbers from -1000 to 1000
  kExponents,  // f32 from -130 to 130
};

// How words of the device and of the emulator are compared.
enum class PrimitiveOutput : uint8_t {
  kBits,
  kFloats,  // f32: any NaN is NaN
  kUlps,    // f32: two units in the last place apart
};

struct PrimitiveInfo {
  const char* name;
  int num_threads;  // one block
  int num_in;       // words a thread
  int num_out;      // words a thread
  int64_t shared_bytes;
  PrimitiveInput input;
  PrimitiveOutput output;
  bool needs_sm_90a;
};

namespace cuda {
// Compute capability of the first device, as 90, and its name; 0: there is none, and why.
int FindDevice(std::string& name);
std::vector<uint32_t> RunPrimitive(size_t which, const std::vector<uint32_t>& in);
}  // namespace cuda

namespace cuda_emulated {
const std::vector<PrimitiveInfo>& Primitives();
std::vector<uint32_t> RunPrimitive(size_t which, const std::vector<uint32_t>& in);
}  // namespace cuda_emulated

}  // namespace runahead
