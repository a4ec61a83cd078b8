// SpanStaging: the host spans of ops, where the device can reach them. Engine thread only.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "core/check.h"
#include "kernels/cuda/device_runtime.h"

namespace runahead::RA_CUDA {

// Ops take ids, positions and parameters as spans of host memory that may change as soon as the op
// returns, and give results in spans that are read after a wait. Both travel through pinned memory
// that the device reads and writes itself:
//
//   | in: ids | positions | slots | ... | out: token ids | ... | free |     one wait empties it
//
// The layers of a step hand over the same positions and slots again and again: equal spans share
// one copy.
class SpanStaging {
 public:
  SpanStaging(DeviceRuntime& runtime, int64_t bytes);

  // Where the device reads what `span` holds now. Null for an empty span.
  template <typename T>
  const T* In(std::span<const T> span) {
    return static_cast<const T*>(CopyIn(span.data(), static_cast<int64_t>(span.size_bytes())));
  }
  // Where the device writes what `span` shall hold after the next Drain().
  template <typename T>
  T* Out(std::span<T> span) {
    return static_cast<T*>(ReserveOut(span.data(), static_cast<int64_t>(span.size_bytes())));
  }

  // All work that uses the memory is done: fills the out spans, and starts anew.
  void Drain();
  int64_t used_bytes() const { return used_; }

 private:
  struct Entry {
    int64_t at;
    int64_t bytes;
    void* host;  // of an out span
  };

  const void* CopyIn(const void* data, int64_t bytes);
  void* ReserveOut(void* data, int64_t bytes);
  char* Reserve(int64_t bytes);

  DeviceRuntime& runtime_;
  DeviceBuffer memory_;
  int64_t used_ = 0;
  std::vector<Entry> ins_;
  std::vector<Entry> outs_;
};

}  // namespace runahead::RA_CUDA
