// SpanStaging: the host spans of ops, where the device can reach them. Engine thread only.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
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
// While ops are captured, a span gets a place of its own in device memory instead. Around each
// launch of the graph, in stream order, what the spans hold by then is brought there, and what the
// kernels left in the places of results is brought back:
//
//   host spans --CopyIn--> pinned | ids | positions | plans | --one copy--> the same, device
//   host spans <--Drain--- pinned | token ids | num_accepted | <--one copy-- the same, device
class SpanStaging {
 public:
  SpanStaging(DeviceRuntime& runtime, int64_t bytes);

  // Where the device reads what `span` holds now. Null for an empty span.
  template <typename T>
  const T* In(std::span<const T> span) {
    return static_cast<const T*>(Copy(span.data(), static_cast<int64_t>(span.size_bytes())));
  }
  // Where the device reads `count` values that `fill(span of them)` writes: now; or, of captured
  // ops, before each launch, from what the spans it reads hold by then.
  template <typename T, typename Fill>
  const T* Made(size_t count, const Fill& fill) {
    if (count == 0) return nullptr;
    const auto write = [count, fill](void* memory) {
      fill(std::span(static_cast<T*>(memory), count));
    };
    const auto bytes = static_cast<int64_t>(count * sizeof(T));
    if (is_capturing()) return static_cast<const T*>(AddPlace({nullptr, bytes, 0, write}));
    char* memory = Reserve(bytes);
    write(memory);
    return reinterpret_cast<const T*>(memory);
  }
  // Where the device writes what `span` shall hold after the next Drain().
  template <typename T>
  T* Out(std::span<T> span) {
    return static_cast<T*>(ReserveOut(span.data(), static_cast<int64_t>(span.size_bytes())));
  }

  // All work that uses the memory is done: fills the out spans, and starts anew.
  void Drain();
  int64_t used_bytes() const;

  // A span of captured ops. Those that are read lie at the beginning of the graph's memory, results
  // from kResultsAt on.
  struct Place {
    const void* host;
    int64_t bytes;
    int64_t at;                       // of its part
    std::function<void(void*)> fill;  // writes it; empty: it is a copy of `host`
  };
  struct Places {
    std::vector<Place> ins;
    std::vector<Place> outs;
  };
  static constexpr int64_t kPlacesBytes = 80 * 1024;
  static constexpr int64_t kResultsAt = kPlacesBytes - 8 * 1024;

  // Until EndCapture(), spans are given places in kPlacesBytes of device memory.
  void BeginCapture(char* device);
  Places EndCapture();
  bool is_capturing() const { return places_memory_ != nullptr; }
  // Enqueues, before a launch, the copy of what the spans hold now; after it, that of the results.
  void CopyIn(const Places& places, char* device);
  void CopyOut(const Places& places, const char* device);

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

  const void* Copy(const void* data, int64_t bytes);
  const void* PlaceOf(const void* data, int64_t bytes);
  const void* AddPlace(Place place);
  void* ReserveOut(void* data, int64_t bytes);
  char* Reserve(int64_t bytes);

  DeviceRuntime& runtime_;
  std::vector<Piece> pieces_;
  size_t current_ = 0;             // the piece that is being filled; those behind it are empty
  char* places_memory_ = nullptr;  // where places are given, while ops are captured
  Places places_;
  std::vector<Entry> ins_;
  std::vector<Entry> outs_;
};

}  // namespace runahead::RA_CUDA
