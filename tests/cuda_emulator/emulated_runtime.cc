#include "tests/cuda_emulator/emulated_runtime.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <sys/mman.h>

#include "core/check.h"
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

// Memory in one mapping that can be opened and shut as a whole. Nothing freed is given out again.
class GuardedMemory {
 public:
  GuardedMemory() {
    void* memory =
        mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    RA_CHECK(memory != MAP_FAILED);
    memory_ = static_cast<char*>(memory);
  }
  ~GuardedMemory() { munmap(memory_, kBytes); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* Take(size_t bytes) {
    constexpr size_t kAlignment = 256;
    if (used_ + bytes > kBytes) throw std::bad_alloc();
    void* taken = memory_ + used_;
    used_ = (used_ + bytes + kAlignment - 1) / kAlignment * kAlignment;
    return taken;
  }
  void Open() { Protect(PROT_READ | PROT_WRITE); }
  void Shut() { Protect(PROT_NONE); }

 private:
  static constexpr size_t kBytes = size_t{1} << 30;

  void Protect(int rights) {
    if (used_ > 0) RA_CHECK_EQ(mprotect(memory_, (used_ + 4095) / 4096 * 4096, rights), 0);
  }

  char* memory_;
  size_t used_ = 0;
};

class EmulatedRuntime final : public DeviceRuntime {
 public:
  explicit EmulatedRuntime(const EmulatedDeviceOptions& options) : options_(options) {
    if (options.is_guarded) guarded_ = std::make_unique<GuardedMemory>();
    properties_.name = "emulated device";
    properties_.compute_capability = options.compute_capability;
    properties_.num_multiprocessors = options.num_multiprocessors;
    properties_.memory_bytes = int64_t{1} << 30;
    properties_.free_bytes = properties_.memory_bytes;
    properties_.max_shared_bytes = emulator::kMaxSharedBytes;
  }

  const DeviceProperties& properties() const override { return properties_; }
  Stream stream() override { return &stream_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    if (bytes <= 0) return {};
    if (guarded_ != nullptr && kind == MemoryKind::kDevice) {
      void* memory = guarded_->Take(static_cast<size_t>(bytes));  // zeros, as it is new
      emulator::AddMemory(memory, bytes);
      return {memory, bytes, [this](void* data) {
                Synchronize();
                emulator::RemoveMemory(data);
              }};
    }
    // One allocation of the host each, so that a sanitizer sees its ends too.
    constexpr auto kAlignment = std::align_val_t{256};
    void* memory = ::operator new(static_cast<size_t>(bytes), kAlignment);
    std::memset(memory, 0, static_cast<size_t>(bytes));
    emulator::AddMemory(memory, bytes);
    return {memory, bytes, [this](void* data) {
              Synchronize();
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
  void CopyFromPinned(void* to, const void* from, int64_t bytes) override {
    stream_.Enqueue([=] { std::memcpy(to, from, static_cast<size_t>(bytes)); });
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    stream_.Enqueue([=] { std::memcpy(to, from, static_cast<size_t>(bytes)); });
  }
  void Fill(void* to, int value, int64_t bytes) override {
    stream_.Enqueue([=] { std::memset(to, value, static_cast<size_t>(bytes)); });
  }

  Ticket Record() override { return ++num_recorded_; }
  void Wait(Ticket /*ticket*/) override {
    Synchronize();
    if (is_lost()) throw std::runtime_error("CUDA failed: the emulated device is lost");
  }

  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    Synchronize();
    forward();
    return std::make_unique<EmulatedGraph>(stream_, stream_.TakeWork());
  }

 private:
  bool is_lost() const { return options_.is_lost != nullptr && *options_.is_lost; }

  void Synchronize() {
    if (is_lost()) {
      stream_.TakeWork();
      return;
    }
    if (guarded_ != nullptr) guarded_->Open();
    stream_.Synchronize();
    if (guarded_ != nullptr) guarded_->Shut();
  }

  EmulatedDeviceOptions options_;
  std::unique_ptr<GuardedMemory> guarded_;
  DeviceProperties properties_;
  emulator::Stream stream_;
  Ticket num_recorded_ = 0;
};

}  // namespace
}  // namespace cuda_emulated

std::unique_ptr<Backend> MakeEmulatedCudaBackend(const EmulatedDeviceOptions& options) {
  return cuda_emulated::MakeBackend(std::make_unique<cuda_emulated::EmulatedRuntime>(options),
                                    {.has_graphs = options.has_graphs});
}

}  // namespace runahead
