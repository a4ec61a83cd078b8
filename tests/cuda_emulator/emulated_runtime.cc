#include "tests/cuda_emulator/emulated_runtime.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "kernels/cuda/cuda_backend.h"
#include "tests/cuda_emulator/emulator.h"

namespace runahead {
namespace cuda_emulated {
namespace {

// Work recorded while a forward pass was captured.
class EmulatedGraph final : public Graph {
 public:
  EmulatedGraph(emulator::Stream& stream, std::vector<std::function<void()>> work)
      : stream_(stream), work_(std::move(work)) {}

  void Launch() override {
    for (const auto& work : work_) stream_.Enqueue(work);
  }

 private:
  emulator::Stream& stream_;
  std::vector<std::function<void()>> work_;
};

class EmulatedRuntime final : public DeviceRuntime {
 public:
  explicit EmulatedRuntime(const EmulatedDeviceOptions& options) {
    properties_.name = "emulated device";
    properties_.compute_capability = options.compute_capability;
    properties_.num_multiprocessors = options.num_multiprocessors;
    properties_.memory_bytes = int64_t{1} << 30;
    properties_.max_shared_bytes = emulator::kMaxSharedBytes;
  }

  const DeviceProperties& properties() const override { return properties_; }
  Stream stream() override { return &stream_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind /*kind*/) override {
    if (bytes <= 0) return {};
    // One allocation of the host each, so that a sanitizer sees its ends too.
    constexpr auto kAlignment = std::align_val_t{256};
    void* memory = ::operator new(static_cast<size_t>(bytes), kAlignment);
    std::memset(memory, 0, static_cast<size_t>(bytes));
    emulator::AddMemory(memory, bytes);
    return {memory, bytes, [this](void* data) {
              stream_.Synchronize();
              emulator::RemoveMemory(data);
              ::operator delete(data, kAlignment);
            }};
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    const auto* begin = static_cast<const char*>(from);
    stream_.Enqueue([to, copy = std::vector<char>(begin, begin + bytes)] {
      std::memcpy(to, copy.data(), copy.size());
    });
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    stream_.Enqueue([=] { std::memcpy(to, from, static_cast<size_t>(bytes)); });
  }
  void Fill(void* to, int value, int64_t bytes) override {
    stream_.Enqueue([=] { std::memset(to, value, static_cast<size_t>(bytes)); });
  }

  Ticket Record() override { return ++num_recorded_; }
  void Wait(Ticket /*ticket*/) override { stream_.Synchronize(); }

  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    stream_.Synchronize();
    forward();
    return std::make_unique<EmulatedGraph>(stream_, stream_.TakeWork());
  }

 private:
  DeviceProperties properties_;
  emulator::Stream stream_;
  Ticket num_recorded_ = 0;
};

}  // namespace
}  // namespace cuda_emulated

std::unique_ptr<Backend> MakeEmulatedCudaBackend(const EmulatedDeviceOptions& options) {
  return cuda_emulated::MakeBackend(std::make_unique<cuda_emulated::EmulatedRuntime>(options));
}

}  // namespace runahead
