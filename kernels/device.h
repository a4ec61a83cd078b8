// Device memory and facts about a device. Value types; a DeviceBuffer has one owner.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "core/dtype.h"

namespace runahead {

enum class MemoryKind { kDevice, kHostPinned };

// What a backend runs on, for start-up lines, `plan` and buffer types.
struct DeviceInfo {
  std::string name;    // "cpu"
  std::string detail;  // "AVX-512 (AVX3_ZEN4), 2 threads"
  int num_threads = 1;
  int64_t memory_bytes = 0;  // total memory of the device
  // What may be allocated there; 0: its memory is the host's, and the system knows.
  int64_t free_bytes = 0;
  // Whether Capture makes graphs: then steps may be padded, so that few graphs serve them all.
  bool has_graphs = false;
  // Whether ops are enqueued and run while the host goes on; else they are done when they return.
  bool is_asynchronous = false;
  // Whether what linear layers put out, and the residual stream, are of the type that weights are
  // loaded in; else f32.
  bool activations_follow_weights = false;
  // Whether weights, rows and caches may be f16.
  bool has_f16 = false;
};

// RAII memory from Backend::Allocate: zero-initialised, 64-byte aligned at least.
class DeviceBuffer {
 public:
  using Free = std::function<void(void*)>;

  DeviceBuffer() = default;
  DeviceBuffer(void* data, int64_t bytes, Free free)
      : data_(data), bytes_(bytes), free_(std::move(free)) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) free_(data_);
  }

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(free_, other.free_);
  }

  void* data_ = nullptr;
  int64_t bytes_ = 0;
  Free free_;
};

}  // namespace runahead
