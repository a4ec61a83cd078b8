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
// one copy. What does not fit makes the memory grow: nothing is waited for, nothing moves.
//
// While ops are captured, a span gets a place of its own in device memory instead, and what stands
// there is copied anew, in stream order, before each launch of the graph:
//
//   host spans --CopyPlaces--> pinned | ids | positions | slots | --one copy--> the same, device
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
  int64_t used_bytes() const;

  // A span of captured ops.
  struct Place {
    const void* host;
    int64_t bytes;
    int64_t at;
  };
  // Until EndCapture(), spans are given places in [device, device + bytes).
  void BeginCapture(char* device, int64_t bytes);
  std::vector<Place> EndCapture();
  bool is_capturing() const { return places_memory_ != nullptr; }
  // What the spans hold now, laid out as their places are; `bytes` of it in all.
  const void* CopyPlaces(std::span<const Place> places, int64_t bytes);
  static int64_t BytesOf(std::span<const Place> places);

 private:
  struct Piece {
    DeviceBuffer memory;
    int64_t used = 0;
  };
  struct Entry {
    char* memory;
    int64_t bytes;
    void* host;  // of an out span
  };

  const void* CopyIn(const void* data, int64_t bytes);
  const void* PlaceOf(const void* data, int64_t bytes);
  void* ReserveOut(void* data, int64_t bytes);
  char* Reserve(int64_t bytes);

  DeviceRuntime& runtime_;
  std::vector<Piece> pieces_;
  size_t current_ = 0;             // the piece that is being filled; those behind it are empty
  char* places_memory_ = nullptr;  // where places are given, while ops are captured
  int64_t places_bytes_ = 0;
  std::vector<Place> places_;
  std::vector<Entry> ins_;
  std::vector<Entry> outs_;
};

}  // namespace runahead::RA_CUDA
