#include "kernels/cuda/cuda_backend.h"

#include <utility>

#include "core/check.h"
#include "kernels/cuda/int4_weight.h"
#include "kernels/cuda/int8_weight.h"
#include "kernels/cuda/ops.h"

namespace runahead::RA_CUDA {
namespace {

// Ids, positions, slots and sampling parameters of a step, several times over.
constexpr int64_t kStagingBytes = int64_t{16} << 20;

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(std::unique_ptr<DeviceRuntime> runtime)
      : runtime_(std::move(runtime)),
        staging_(*runtime_, kStagingBytes),
        context_{*runtime_, staging_} {
    const DeviceProperties& device = runtime_->properties();
    info_.name = "cuda";
    info_.detail = device.name + ", compute capability " +
                   std::to_string(device.compute_capability / 10) + "." +
                   std::to_string(device.compute_capability % 10);
    info_.memory_bytes = device.memory_bytes;
    info_.activation_dtype = DType::kBF16;
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
    return PackPlainLinear(canonical, *runtime_);
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const override {
    if (format.type == WeightType::kInt4) return Int4Layout(n, k, format).bytes();
    if (format.type == WeightType::kInt8) return Int8Layout(n, k).bytes();
    return n * k * (format == WeightFormat::kBF16 ? 2 : 4) + n * 4;
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) override {
    return RA_CUDA::MakeAttentionPlan(limits, *runtime_);
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    return runtime_->Capture(forward);
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) runtime_->CopyToDevice(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) runtime_->CopyToHost(to, from, bytes);
  }
  Ticket Record() override { return runtime_->Record(); }
  // Waits for all there is, the ticket's work included: what is staged is then free.
  void Wait(Ticket /*ticket*/) override {
    runtime_->Wait(runtime_->Record());
    staging_.Drain();
  }

  void PlanAttention(const BatchShape& shape, AttentionPlan& plan) override {
    RA_CUDA::PlanAttention(shape, plan, context_);
  }
  void Embed(const EmbedArgs& args) override { RA_CUDA::Embed(args, context_); }
  void RmsNorm(const RmsNormArgs& args) override { RA_CUDA::RmsNorm(args, context_); }
  void AddRmsNorm(const AddRmsNormArgs& args) override { RA_CUDA::AddRmsNorm(args, context_); }
  void Linear(const LinearArgs& args) override {
    if (const auto* int4 = dynamic_cast<const Int4Weight*>(args.weight)) {
      return Int4Linear(args, *int4, context_);
    }
    if (const auto* int8 = dynamic_cast<const Int8Weight*>(args.weight)) {
      return Int8Linear(args, *int8, context_);
    }
    PlainLinear(args, context_);
  }
  void RopeAndStoreKv(const RopeStoreKvArgs& args) override {
    RA_CUDA::RopeAndStoreKv(args, context_);
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    RA_CUDA::PagedAttention(args, context_);
  }
  void SiluMul(const SiluMulArgs& args) override { RA_CUDA::SiluMul(args, context_); }
  void GatherRows(const GatherRowsArgs& args) override { RA_CUDA::GatherRows(args, context_); }
  void ProcessLogits(const ProcessLogitsArgs& args) override {
    RA_CUDA::ProcessLogits(args, context_);
  }
  void SampleAndVerify(const SampleVerifyArgs& args) override {
    RA_CUDA::SampleAndVerify(args, context_);
  }
  void TopLogprobs(const TopLogprobsArgs& args) override { RA_CUDA::TopLogprobs(args, context_); }
  void CopyBlocks(const CopyBlocksArgs& args) override { RA_CUDA::CopyBlocks(args, context_); }

 private:
  std::unique_ptr<DeviceRuntime> runtime_;
  SpanStaging staging_;
  OpContext context_;
  DeviceInfo info_;
};

}  // namespace

std::unique_ptr<Backend> MakeBackend(std::unique_ptr<DeviceRuntime> runtime) {
  return std::make_unique<CudaBackend>(std::move(runtime));
}

}  // namespace runahead::RA_CUDA
