#include "kernels/cuda/cuda_runtime.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "core/check.h"
#include "kernels/cuda/probe.h"

namespace runahead::cuda {
namespace {

// Left free of the device's memory: for the driver's own (modules, local memory, graphs). Not
// measured.
constexpr int64_t kReservedBytes = int64_t{512} << 20;

std::string Describe(cudaError_t error, const char* what) {
  return std::string(what) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
}

// At start-up.
void ThrowOn(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(Describe(error, what));
}

// The first error of a device that serves: everything after it fails too, so it is kept, and told
// by whoever waits.
class Failure {
 public:
  void Note(cudaError_t error, const char* what) {
    if (error != cudaSuccess && text_.empty()) text_ = "CUDA failed: " + Describe(error, what);
  }
  void ThrowIfAny() const {
    if (!text_.empty()) throw std::runtime_error(text_);
  }

 private:
  std::string text_;
};

class CudaGraph final : public Graph {
 public:
  CudaGraph(cudaGraph_t graph, cudaStream_t stream, Failure& failure)
      : stream_(stream), failure_(failure) {
    failure_.Note(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
    failure_.Note(cudaGraphDestroy(graph), "cudaGraphDestroy");
  }
  ~CudaGraph() override {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  }

  void Launch() override {
    failure_.Note(cudaGraphLaunch(executable_, stream_), "cudaGraphLaunch");
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t stream_;
  Failure& failure_;  // the runtime's, which outlives its graphs
};

class CudaRuntime final : public DeviceRuntime {
 public:
  CudaRuntime(int ordinal, DeviceProperties properties)
      : ordinal_(ordinal), properties_(std::move(properties)) {
    Bind();
    ThrowOn(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    for (cudaEvent_t& event : events_) {
      ThrowOn(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    }
  }
  ~CudaRuntime() override {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    cudaStreamDestroy(stream_);
  }

  const DeviceProperties& properties() const override { return properties_; }
  Stream stream() override {
    Bind();
    return stream_;
  }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    if (bytes <= 0) return {};
    Bind();
    const auto size = static_cast<size_t>(bytes);
    void* memory = nullptr;
    const bool is_pinned = kind == MemoryKind::kHostPinned;
    const cudaError_t error =
        is_pinned ? cudaHostAlloc(&memory, size, cudaHostAllocMapped) : cudaMalloc(&memory, size);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it is told by the exception
      throw std::bad_alloc();
    }
    ThrowOn(error, is_pinned ? "cudaHostAlloc" : "cudaMalloc");
    ThrowOn(cudaMemsetAsync(memory, 0, size, stream_), "cudaMemsetAsync");
    ThrowOn(cudaStreamSynchronize(stream_), "zeroing new memory");
    return {memory, bytes,
            [is_pinned](void* data) { is_pinned ? cudaFreeHost(data) : cudaFree(data); }};
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    Bind();
    failure_.Note(
        cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
        "copy to the device");
    // Pageable memory has been staged when the call returns, up to 64 KB; beyond that, and of
    // pinned memory, the source is still being read.
    failure_.Note(cudaStreamSynchronize(stream_), "copy to the device");
  }
  void CopyFromPinned(void* to, const void* from, int64_t bytes) override {
    Bind();
    failure_.Note(
        cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
        "copy of pinned memory to the device");
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    Bind();
    failure_.Note(
        cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_),
        "copy to the host");
  }
  void Fill(void* to, int value, int64_t bytes) override {
    Bind();
    failure_.Note(cudaMemsetAsync(to, value, static_cast<size_t>(bytes), stream_), "fill");
  }

  Ticket Record() override {
    Bind();
    const Ticket ticket = ++last_ticket_;
    failure_.Note(cudaEventRecord(events_[ticket % kEvents], stream_), "cudaEventRecord");
    return ticket;
  }
  // A ticket whose event has been recorded anew since waits for the later work too.
  void Wait(Ticket ticket) override {
    Bind();
    failure_.Note(cudaEventSynchronize(events_[ticket % kEvents]), "waiting for the device");
    failure_.ThrowIfAny();
  }

  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    Bind();
    failure_.Note(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
                  "cudaStreamBeginCapture");
    forward();
    cudaGraph_t graph = nullptr;
    failure_.Note(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
    failure_.ThrowIfAny();
    auto captured = std::make_unique<CudaGraph>(graph, stream_, failure_);
    failure_.ThrowIfAny();
    return captured;
  }

 private:
  static constexpr size_t kEvents = 64;

  // CUDA keeps a current device for each thread; models load on one thread and run on another.
  void Bind() {
    const std::thread::id here = std::this_thread::get_id();
    if (bound_thread_ == here) return;
    failure_.Note(cudaSetDevice(ordinal_), "cudaSetDevice");
    bound_thread_ = here;
  }

  int ordinal_;
  DeviceProperties properties_;
  std::thread::id bound_thread_;
  Failure failure_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t events_[kEvents] = {};
  Ticket last_ticket_ = 0;
};

Status NoDevice(const std::string& why) { return {StatusCode::kUnavailable, why, "backend"}; }

std::string VersionName(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Why the runtime counts no devices. It calls a missing driver one that is too old.
std::string CauseOf(cudaError_t error) {
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return "no CUDA device: no NVIDIA driver is loaded";
  if (error == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is too old: it supports CUDA " + VersionName(driver) +
           ", this build needs " + VersionName(runtime);
  }
  return std::string("no CUDA device: ") + cudaGetErrorString(error);
}

}  // namespace

Result<std::unique_ptr<DeviceRuntime>> MakeCudaRuntime(int ordinal) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return NoDevice(CauseOf(error));
  if (ordinal < 0 || ordinal >= count) {
    return NoDevice("no CUDA device " + std::to_string(ordinal) + ": there " +
                    (count == 1 ? "is 1" : "are " + std::to_string(count)) + ", counted from 0");
  }
  cudaDeviceProp device = {};
  error = cudaGetDeviceProperties(&device, ordinal);
  const std::string name =
      "CUDA device " + std::to_string(ordinal) + (device.name[0] == 0 ? "" : ", ") + device.name;
  if (error == cudaSuccess && device.major < 8) {
    return NoDevice(name + ", is older than compute capability 8.0 (Ampere)");
  }
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  if (error == cudaSuccess) error = cudaSetDevice(ordinal);
  if (error == cudaSuccess) error = LoadProbe();
  if (error == cudaSuccess) error = cudaMemGetInfo(&free_bytes, &total_bytes);
  if (error != cudaSuccess) {
    cudaGetLastError();  // told here
    return NoDevice(name + ": " + cudaGetErrorString(error));
  }
  DeviceProperties properties;
  properties.name = device.name;
  properties.ordinal = ordinal;
  properties.compute_capability = 10 * device.major + device.minor;
  properties.num_multiprocessors = device.multiProcessorCount;
  properties.memory_bytes = static_cast<int64_t>(device.totalGlobalMem);
  properties.free_bytes = std::max(int64_t{1}, static_cast<int64_t>(free_bytes) - kReservedBytes);
  properties.max_shared_bytes = static_cast<int64_t>(device.sharedMemPerBlockOptin);
  return std::unique_ptr<DeviceRuntime>(
      std::make_unique<CudaRuntime>(ordinal, std::move(properties)));
}

}  // namespace runahead::cuda
