#include "kernels/cuda/span_staging.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int64_t kAlignment = 64;

// Comparing longer spans costs more than copying them.
constexpr int64_t kMaxSharedSpanBytes = 64 * 1024;

}  // namespace

SpanStaging::SpanStaging(DeviceRuntime& runtime, int64_t bytes)
    : runtime_(runtime), memory_(runtime.Allocate(bytes, MemoryKind::kHostPinned)) {}

char* SpanStaging::Reserve(int64_t bytes) {
  const int64_t at = (used_ + kAlignment - 1) / kAlignment * kAlignment;
  if (at + bytes > memory_.bytes()) {
    // Nobody has waited for very long; rather late than wrong.
    RA_CHECK_LE(bytes, memory_.bytes());
    runtime_.Wait(runtime_.Record());
    Drain();
    return Reserve(bytes);
  }
  used_ = at + bytes;
  return static_cast<char*>(memory_.data()) + at;
}

const void* SpanStaging::CopyIn(const void* data, int64_t bytes) {
  if (bytes == 0) return nullptr;
  const auto size = static_cast<size_t>(bytes);
  const auto* base = static_cast<const char*>(memory_.data());
  if (bytes <= kMaxSharedSpanBytes) {
    for (const Entry& entry : ins_) {
      if (entry.bytes == bytes && std::memcmp(base + entry.at, data, size) == 0) {
        return base + entry.at;
      }
    }
  }
  char* copy = Reserve(bytes);
  std::memcpy(copy, data, size);
  ins_.push_back({copy - base, bytes, nullptr});
  return copy;
}

void* SpanStaging::ReserveOut(void* data, int64_t bytes) {
  if (bytes == 0) return nullptr;
  char* memory = Reserve(bytes);
  outs_.push_back({memory - static_cast<char*>(memory_.data()), bytes, data});
  return memory;
}

void SpanStaging::Drain() {
  for (const Entry& entry : outs_) {
    std::memcpy(entry.host, static_cast<char*>(memory_.data()) + entry.at,
                static_cast<size_t>(entry.bytes));
  }
  ins_.clear();
  outs_.clear();
  used_ = 0;
}

}  // namespace runahead::RA_CUDA
