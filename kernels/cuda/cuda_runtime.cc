#include "kernels/cuda/cuda_runtime.h"

#include <deque>
#include <new>
#include <string>
#include <utility>

#include "core/check.h"

namespace runahead::cuda {
namespace {

// What cannot fail but by a lost device or a bug of ours: both end the process by name.
void Check(cudaError_t error, const char* what) {
  RA_CHECK(error == cudaSuccess,
           std::string(what) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

class CudaGraph final : public Graph {
 public:
  CudaGraph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    Check(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
    Check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  }
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }

  void Launch() override { Check(cudaGraphLaunch(executable_, stream_), "cudaGraphLaunch"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t stream_;
};

class CudaRuntime final : public DeviceRuntime {
 public:
  explicit CudaRuntime(DeviceProperties properties) : properties_(std::move(properties)) {
    Check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    for (cudaEvent_t& event : events_) {
      Check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    }
  }
  ~CudaRuntime() override {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    cudaStreamDestroy(stream_);
  }

  const DeviceProperties& properties() const override { return properties_; }
  Stream stream() override { return stream_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    if (bytes <= 0) return {};
    const auto size = static_cast<size_t>(bytes);
    void* memory = nullptr;
    const bool is_pinned = kind == MemoryKind::kHostPinned;
    const cudaError_t error =
        is_pinned ? cudaHostAlloc(&memory, size, cudaHostAllocMapped) : cudaMalloc(&memory, size);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it is told by the exception
      throw std::bad_alloc();
    }
    Check(error, is_pinned ? "cudaHostAlloc" : "cudaMalloc");
    Check(cudaMemsetAsync(memory, 0, size, stream_), "cudaMemsetAsync");
    Check(cudaStreamSynchronize(stream_), "zeroing new memory");
    return {memory, bytes,
            [is_pinned](void* data) { is_pinned ? cudaFreeHost(data) : cudaFree(data); }};
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
          "copy to the device");
    // Pageable memory has been staged when the call returns, up to 64 KB; beyond that, and of
    // pinned memory, the source is still being read.
    Check(cudaStreamSynchronize(stream_), "copy to the device");
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_),
          "copy to the host");
  }
  void Fill(void* to, int value, int64_t bytes) override {
    Check(cudaMemsetAsync(to, value, static_cast<size_t>(bytes), stream_), "fill");
  }

  Ticket Record() override {
    const Ticket ticket = ++last_ticket_;
    Check(cudaEventRecord(events_[ticket % kEvents], stream_), "cudaEventRecord");
    return ticket;
  }
  // A ticket whose event has been recorded anew since waits for the later work too.
  void Wait(Ticket ticket) override {
    Check(cudaEventSynchronize(events_[ticket % kEvents]), "cudaEventSynchronize");
  }

  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    Check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "begin capture");
    forward();
    cudaGraph_t graph = nullptr;
    Check(cudaStreamEndCapture(stream_, &graph), "end capture");
    return std::make_unique<CudaGraph>(graph, stream_);
  }

 private:
  static constexpr size_t kEvents = 64;

  DeviceProperties properties_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t events_[kEvents] = {};
  Ticket last_ticket_ = 0;
};

Status NoDevice(const std::string& why) { return {StatusCode::kUnavailable, why, "device"}; }

}  // namespace

Result<std::unique_ptr<DeviceRuntime>> MakeCudaRuntime(int ordinal) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    return NoDevice(std::string("no CUDA device: ") + cudaGetErrorString(error));
  }
  if (ordinal < 0 || ordinal >= count) {
    return NoDevice("no CUDA device " + std::to_string(ordinal) + ": there are " +
                    std::to_string(count));
  }
  cudaDeviceProp device = {};
  error = cudaGetDeviceProperties(&device, ordinal);
  if (error == cudaSuccess) error = cudaSetDevice(ordinal);
  if (error != cudaSuccess) {
    return NoDevice(std::string("CUDA device ") + std::to_string(ordinal) + ": " +
                    cudaGetErrorString(error));
  }
  DeviceProperties properties;
  properties.name = device.name;
  properties.compute_capability = 10 * device.major + device.minor;
  properties.num_multiprocessors = device.multiProcessorCount;
  properties.memory_bytes = static_cast<int64_t>(device.totalGlobalMem);
  properties.max_shared_bytes = static_cast<int64_t>(device.sharedMemPerBlockOptin);
  if (properties.compute_capability < 80) {
    return NoDevice(properties.name + " is older than compute capability 8.0");
  }
  return std::unique_ptr<DeviceRuntime>(std::make_unique<CudaRuntime>(std::move(properties)));
}

}  // namespace runahead::cuda
