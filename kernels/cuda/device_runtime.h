// DeviceRuntime: what the backend needs of a device besides kernels: memory, copies in stream
// order, tickets, graphs. What is enqueued on a device that has failed does nothing. Two
// implementations: the CUDA runtime, and the emulator's for tests.
// Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kernels/backend.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

struct DeviceProperties {
  std::string name;            // "NVIDIA H200"
  int ordinal = 0;             // as CUDA counts devices
  int compute_capability = 0;  // 90: 9.0
  int num_multiprocessors = 0;
  int64_t memory_bytes = 0;
  int64_t free_bytes = 0;        // for a model, when the runtime was made
  int64_t max_shared_bytes = 0;  // dynamic, of one block
};

class DeviceRuntime {
 public:
  virtual ~DeviceRuntime() = default;

  virtual const DeviceProperties& properties() const = 0;
  // The one stream all work goes to.
  virtual Stream stream() = 0;

  // Zero-initialised, 256-byte aligned; throws std::bad_alloc. Pinned memory is the device's to
  // read and write too, at the same address.
  virtual DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) = 0;

  // In stream order. `from` of a host is the caller's again when the call returns; `to` of a host
  // is written once a later ticket has been waited for.
  virtual void CopyToDevice(void* to, const void* from, int64_t bytes) = 0;
  // `from` is pinned memory, which stays as it is until a later ticket has been waited for.
  virtual void CopyFromPinned(void* to, const void* from, int64_t bytes) = 0;
  virtual void CopyToHost(void* to, const void* from, int64_t bytes) = 0;
  virtual void Fill(void* to, int value, int64_t bytes) = 0;

  virtual Ticket Record() = 0;
  // Throws std::runtime_error with the first error once the device has failed; it stays failed.
  virtual void Wait(Ticket ticket) = 0;
  virtual std::unique_ptr<Graph> Capture(const std::function<void()>& forward) = 0;
};

}  // namespace runahead::RA_CUDA
