#include "kernels/cuda/cuda_backend.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "kernels/cuda/int4_weight.h"
#include "kernels/cuda/int8_weight.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/profile_range.h"

namespace runahead::RA_CUDA {
namespace {

// Ids, positions, slots and sampling parameters of a step, several times over.
constexpr int64_t kStagingBytes = int64_t{16} << 20;

constexpr int64_t kMaxStagedCopy = 64 * 1024;

// Target and draft model share a backend: each keeps 64 steps at most, the draft as many chains.
constexpr int kMaxGraphs = 200;

// An op that is being enqueued: its name in a profile, and what it works with.
struct Op {
  ProfileRange range;
  OpContext& context;
};

// A graph and the spans it reads and fills.
class StagedGraph final : public Graph {
 public:
  // `places` lie in `memory`, which `release` gives back.
  StagedGraph(std::function<Op()> enter, std::unique_ptr<Graph> graph, SpanStaging::Places places,
              char* memory, std::function<void()> release)
      : enter_(std::move(enter)),
        graph_(std::move(graph)),
        places_(std::move(places)),
        memory_(memory),
        release_(std::move(release)) {}
  ~StagedGraph() override { release_(); }

  void Launch() override {
    const Op op = enter_();
    op.context.spans.CopyIn(places_, memory_);
    graph_->Launch();
    op.context.spans.CopyOut(places_, memory_);
  }

 private:
  std::function<Op()> enter_;
  std::unique_ptr<Graph> graph_;
  SpanStaging::Places places_;
  char* memory_;
  std::function<void()> release_;
};

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<DeviceRuntime> runtime, const CudaBackendOptions& options)
      : runtime_(std::move(runtime)),
        staging_(*runtime_, kStagingBytes),
        dense_(options.make_dense ? options.make_dense(*runtime_) : nullptr),
        context_{*runtime_, staging_, dense_.get()} {
    const DeviceProperties& device = runtime_->properties();
    info_.name = "cuda";
    info_.detail = device.name + " (device " + std::to_string(device.ordinal) +
                   "), compute capability " + std::to_string(device.compute_capability / 10) + "." +
                   std::to_string(device.compute_capability % 10);
    info_.memory_bytes = device.memory_bytes;
    info_.free_bytes = device.free_bytes;
    info_.num_threads = options.num_threads;
    info_.has_graphs = options.has_graphs;
    info_.is_asynchronous = true;
    info_.activations_follow_weights = true;
    info_.has_f16 = true;
    if (!options.has_graphs) return;
    constexpr int64_t kBytes = SpanStaging::kPlacesBytes;
    graph_memory_ = runtime_->Allocate(kMaxGraphs * kBytes, MemoryKind::kDevice);
    for (int i = kMaxGraphs; i-- > 0;) {
      free_places_.push_back(static_cast<char*>(graph_memory_.data()) + i * kBytes);
    }
  }

  const DeviceInfo& info() const override { return info_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    return runtime_->Allocate(bytes, kind);
  }
  std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) override {
    if (canonical.format.type == WeightType::kInt4) {
      AllowInt4Linear();
      return PackInt4(canonical, *runtime_);
    }
    if (canonical.format.type == WeightType::kInt8) {
      AllowInt8Linear(runtime_->properties());
      return PackInt8(canonical, *runtime_);
    }
    std::unique_ptr<LinearWeight> weight = PackPlainLinear(canonical, *runtime_);
    const DType dtype = weight->input_format().dtype;
    if (dense_ != nullptr && dtype != DType::kF32) {
      dense_->Prepare(dtype, weight->n(), weight->k());
    }
    return weight;
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const override {
    if (format.type == WeightType::kInt4) return Int4Layout(n, k, format).bytes();
    if (format.type == WeightType::kInt8) return Int8Layout(n, k).bytes();
    return n * k * DTypeBytes(format.dtype()) + n * 4;
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) override {
    return RA_CUDA::MakeAttentionPlan(limits, *runtime_);
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    if (free_places_.empty()) return nullptr;
    char* memory = free_places_.back();
    staging_.BeginCapture(memory);
    std::unique_ptr<Graph> graph = runtime_->Capture(forward);
    SpanStaging::Places places = staging_.EndCapture();
    if (graph == nullptr) return nullptr;
    free_places_.pop_back();
    return std::make_unique<StagedGraph>([this] { return Enter("graph"); }, std::move(graph),
                                         std::move(places), memory,
                                         [this, memory] { free_places_.push_back(memory); });
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) runtime_->CopyToDevice(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    if (bytes <= 0) return;
    // Into pinned memory: a copy to any other keeps the host waiting until it is done.
    const bool is_small = bytes <= kMaxStagedCopy && !staging_.is_capturing();
    if (is_small) to = staging_.Out(std::span(static_cast<char*>(to), static_cast<size_t>(bytes)));
    runtime_->CopyToHost(to, from, bytes);
  }
  Ticket Record() override { return runtime_->Record(); }
  // Waits for all there is, the ticket's work included: what is staged is then free.
  void Wait(Ticket /*ticket*/) override {
    runtime_->Wait(runtime_->Record());
    staging_.Drain();
    step_.reset();
  }

  void PlanAttention(const BatchShape& shape, AttentionPlan& plan) override {
    step_.emplace("step");
    RA_CUDA::PlanAttention(shape, plan, EnterUncaptured("PlanAttention").context);
  }
  void Embed(const EmbedArgs& args) override { RA_CUDA::Embed(args, Enter("Embed").context); }
  void RmsNorm(const RmsNormArgs& args) override {
    RA_CUDA::RmsNorm(args, Enter("RmsNorm").context);
  }
  void AddRmsNorm(const AddRmsNormArgs& args) override {
    RA_CUDA::AddRmsNorm(args, Enter("AddRmsNorm").context);
  }
  void Linear(const LinearArgs& args) override {
    if (const auto* int4 = dynamic_cast<const Int4Weight*>(args.weight)) {
      return Int4Linear(args, *int4, Enter("Linear").context);
    }
    if (const auto* int8 = dynamic_cast<const Int8Weight*>(args.weight)) {
      return Int8Linear(args, *int8, Enter("Linear").context);
    }
    PlainLinear(args, Enter("Linear").context);
  }
  void RopeAndStoreKv(const RopeStoreKvArgs& args) override {
    RA_CUDA::RopeAndStoreKv(args, Enter("RopeAndStoreKv").context);
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    RA_CUDA::PagedAttention(args, Enter("PagedAttention").context);
  }
  void SiluMul(const SiluMulArgs& args) override {
    RA_CUDA::SiluMul(args, Enter("SiluMul").context);
  }
  void GatherRows(const GatherRowsArgs& args) override {
    RA_CUDA::GatherRows(args, Enter("GatherRows").context);
  }
  void ProcessLogits(const ProcessLogitsArgs& args) override {
    RA_CUDA::ProcessLogits(args, Enter("ProcessLogits").context);
  }
  void SampleAndVerify(const SampleVerifyArgs& args) override {
    RA_CUDA::SampleAndVerify(args, Enter("SampleAndVerify").context);
  }
  void TopLogprobs(const TopLogprobsArgs& args) override {
    const Op op = args.drawn != nullptr ? Enter("TopLogprobs") : EnterUncaptured("TopLogprobs");
    RA_CUDA::TopLogprobs(args, op.context);
  }
  void CopyBlocks(const CopyBlocksArgs& args) override {
    RA_CUDA::CopyBlocks(args, EnterUncaptured("CopyBlocks").context);
  }

 private:
  // Where nobody has waited for very long, this does, so that what is staged stays bounded.
  Op Enter(const char* name) {
    if (staging_.used_bytes() > kStagingBytes / 2 && !staging_.is_capturing()) Wait(Ticket());
    return {ProfileRange(name), context_};
  }
  // Of an op no graph can hold: it reads more of the host than its spans.
  Op EnterUncaptured(const char* name) {
    RA_CHECK(!staging_.is_capturing(), "not within Capture");
    return Enter(name);
  }

  std::unique_ptr<DeviceRuntime> runtime_;
  SpanStaging staging_;
  std::unique_ptr<DenseLinear> dense_;
  OpContext context_;
  std::optional<ProfileRange> step_;  // from its plan to the wait for its results
  DeviceBuffer graph_memory_;
  std::vector<char*> free_places_;
  DeviceInfo info_;
};

}  // namespace

std::unique_ptr<Backend> MakeBackend(std::unique_ptr<DeviceRuntime> runtime,
                                     const CudaBackendOptions& options) {
  return std::make_unique<CudaBackend>(std::move(runtime), options);
}

}  // namespace runahead::RA_CUDA
